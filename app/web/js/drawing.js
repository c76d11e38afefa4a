// Waveforms and spectrograms on canvases, in the colours of the theme.

import { N_BANDS, melLevelsDb } from "./mel.js";

const BAR_PX = 3;
const RANGE_DB = 55;
// Where no band is louder than that, nothing is bright.
const QUIET_DB = -20;

/** Sizes a canvas to its box in device pixels, cleared; null where it has no box. */
function context(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  if (!width || !height) return null;
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  return canvas.getContext("2d");
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Loudest sample of each of `n` equal parts. */
export function peaks(samples, n) {
  return Float32Array.from({ length: n }, (_, i) => {
    let peak = 0;
    const end = Math.floor(((i + 1) * samples.length) / n);
    for (let k = Math.floor((i * samples.length) / n); k < end; k += 1) peak = Math.max(peak, Math.abs(samples[k]));
    return peak;
  });
}

export function drawWaveform(canvas, samples) {
  const nBars = Math.max(1, Math.floor(canvas.getBoundingClientRect().width / BAR_PX));
  const found = peaks(samples, nBars);
  drawPeaks(canvas, found, Math.max(0.02, ...found));
}

/** Bars from the left, `full` being as high as the canvas. */
export function drawPeaks(canvas, found, full) {
  const paint = context(canvas);
  if (paint === null) return;
  const step = BAR_PX * devicePixelRatio;
  const width = step * 0.62;
  paint.fillStyle = colour("--accent");
  found.forEach((peak, i) => {
    const height = Math.max(width, Math.min(1, peak / full) * canvas.height);
    paint.beginPath();
    paint.roundRect(i * step, (canvas.height - height) / 2, width, height, width / 2);
    paint.fill();
  });
}

/** How many bars fit. */
export function nBarsOf(canvas) {
  return Math.floor(canvas.getBoundingClientRect().width / BAR_PX);
}

export function drawSpectrogram(canvas, samples, rateHz) {
  const paint = context(canvas);
  if (paint === null) return;
  const nFrames = Math.max(2, Math.min(canvas.width, 480));
  const levels = melLevelsDb(samples, rateHz, nFrames);
  const top = levels.reduce((highest, level) => Math.max(highest, level), QUIET_DB);
  const ramp = colourRamp();
  const image = new ImageData(nFrames, N_BANDS);
  levels.forEach((level, i) => {
    const [frame, band] = [Math.floor(i / N_BANDS), i % N_BANDS];
    const shade = Math.max(0, Math.min(255, Math.round(255 * (1 + (level - top) / RANGE_DB))));
    image.data.set(ramp.subarray(4 * shade, 4 * shade + 4), 4 * ((N_BANDS - 1 - band) * nFrames + frame));
  });
  const small = new OffscreenCanvas(nFrames, N_BANDS);
  small.getContext("2d").putImageData(image, 0, 0);
  paint.imageSmoothingQuality = "high";
  paint.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** 256 shades, from the background over the accent to the brightest of the theme. */
function colourRamp() {
  const ramp = new OffscreenCanvas(256, 1).getContext("2d");
  const gradient = ramp.createLinearGradient(0, 0, 255, 0);
  ["--mel-low", "--mel-middle", "--mel-high"].forEach((name, i) => gradient.addColorStop([0, 0.6, 1][i], colour(name)));
  ramp.fillStyle = gradient;
  ramp.fillRect(0, 0, 256, 1);
  return ramp.getImageData(0, 0, 256, 1).data;
}
