// How much speech there was so far, estimated from loudness alone. The service's own detector decides; this one only helps to
// know when to stop.

export const FRAME_S = 0.02;

const PEAK_DB = -50;
// Below that in their loudest frames, all is taken for silence.
const MIN_RANGE_DB = 12;
// Speech has pauses; what stays at one level is noise or a tone.
const LOUD_PART = 0.45;
const MAX_GAP_FRAMES = 10;
const MIN_DB = -100;

/** Loudness of each whole frame, in dB re full scale. */
export function frameLevelsDb(samples, rateHz) {
  const nFrameSamples = Math.round(rateHz * FRAME_S);
  const levels = [];
  for (let start = 0; start + nFrameSamples <= samples.length; start += nFrameSamples) {
    let power = 0;
    for (let i = start; i < start + nFrameSamples; i += 1) power += samples[i] * samples[i];
    levels.push(Math.max(MIN_DB, 10 * Math.log10(power / nFrameSamples)));
  }
  return levels;
}

/** Seconds of speech among frames of that loudness. */
export function estimateSpeechS(levelsDb) {
  if (levelsDb.length === 0) return 0;
  const sorted = Float32Array.from(levelsDb).sort();
  const quiet = quantile(sorted, 0.05);
  const loud = quantile(sorted, 0.95);
  if (loud < PEAK_DB || loud - quiet < MIN_RANGE_DB) return 0;
  // Digital silence between words would put the middle far below any voice.
  const threshold = Math.max(quiet + LOUD_PART * (loud - quiet), loud - 30);
  let nFrames = 0;
  let gap = MAX_GAP_FRAMES + 1;
  for (const level of levelsDb) {
    if (level < threshold) {
      gap += 1;
      continue;
    }
    // A gap within a word, or between two, is speech as the service counts it.
    nFrames += gap <= MAX_GAP_FRAMES ? gap + 1 : 1;
    gap = 0;
  }
  return nFrames * FRAME_S;
}

function quantile(sorted, q) {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
