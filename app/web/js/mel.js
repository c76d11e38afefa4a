// A mel spectrogram to look at. The encoder has one of its own; nothing of this one reaches the service.

export const N_BANDS = 64;

const WINDOW_S = 0.032;
// The encoder hears no more: it takes 16,000 samples a second.
const TOP_HZ = 8000;
const MIN_POWER = 1e-10;

/** Levels in dB, frame by frame and in each from the lowest band to the highest: Float32Array of nFrames × N_BANDS. */
export function melLevelsDb(samples, rateHz, nFrames) {
  const nWindow = 2 ** Math.round(Math.log2(rateHz * WINDOW_S));
  const window = Float32Array.from({ length: nWindow }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / nWindow));
  const bands = melBands(nWindow, rateHz);
  const levels = new Float32Array(nFrames * N_BANDS);
  const hop = Math.max(0, samples.length - nWindow) / Math.max(1, nFrames - 1);
  for (let frame = 0; frame < nFrames; frame += 1) {
    const start = Math.round(frame * hop);
    const real = window.map((weight, i) => weight * (samples[start + i] ?? 0));
    const imaginary = new Float32Array(nWindow);
    fft(real, imaginary);
    bands.forEach(({ first, weights }, band) => {
      let power = MIN_POWER;
      weights.forEach((weight, i) => {
        power += weight * (real[first + i] ** 2 + imaginary[first + i] ** 2);
      });
      levels[frame * N_BANDS + band] = 10 * Math.log10(power);
    });
  }
  return levels;
}

/** In place, for a power of two of points (Cooley and Tukey, 1965). */
export function fft(real, imaginary) {
  const n = real.length;
  for (let i = 1, j = 0; i < n; i += 1) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2;
    for (let k = 0; k < half; k += 1) {
      const cosine = Math.cos((-2 * Math.PI * k) / size);
      const sine = Math.sin((-2 * Math.PI * k) / size);
      for (let i = k; i < n; i += size) {
        const j = i + half;
        const re = real[j] * cosine - imaginary[j] * sine;
        const im = real[j] * sine + imaginary[j] * cosine;
        real[j] = real[i] - re;
        imaginary[j] = imaginary[i] - im;
        real[i] += re;
        imaginary[i] += im;
      }
    }
  }
}

/** Triangles, evenly spaced in mel (O'Shaughnessy, 1987): where each begins in the spectrum, and its weights. */
function melBands(nWindow, rateHz) {
  const binHz = rateHz / nWindow;
  const topMel = mel(Math.min(TOP_HZ, rateHz / 2));
  const corners = Array.from({ length: N_BANDS + 2 }, (_, i) => hertz((topMel * i) / (N_BANDS + 1)));
  return Array.from({ length: N_BANDS }, (_, band) => {
    const [low, middle, high] = corners.slice(band, band + 3);
    const first = Math.floor(low / binHz);
    const weights = [];
    for (let bin = first; bin * binHz <= high; bin += 1) {
      const f = bin * binHz;
      // Low bands are narrower than a bin: each takes the nearest one at least.
      const nearest = Math.abs(f - middle) <= binHz / 2 ? 0.5 : 0;
      weights.push(Math.max(nearest, Math.min((f - low) / (middle - low), (high - f) / (high - middle))));
    }
    return { first, weights };
  });
}

function mel(hz) {
  return 2595 * Math.log10(1 + hz / 700);
}

function hertz(mels) {
  return 700 * (10 ** (mels / 2595) - 1);
}
