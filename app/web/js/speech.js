// How much speech there was so far, estimated from loudness alone. The service's own detector decides; this one only helps to
// know when to stop.

export const FRAME_S = 0.02;

// Where even the loudest frames are below that, all is silence.
const SILENCE_DB = -50;
// Speech has pauses; what stays at one level is noise or a tone.
const MIN_RANGE_DB = 12;
// Where speech begins between the quiet and the loud.
const SPEECH_PART = 0.45;
// Digital silence between words puts "quiet" far below any voice.
const MAX_BELOW_LOUD_DB = 30;
// A shorter gap is within a word, or between two: speech as the service counts it.
const MAX_GAP_FRAMES = 10;
const LOWEST_DB = -100;

/** Loudness of each whole frame, in dB re full scale. */
export function frameLevelsDb(samples, rateHz) {
  const nFrameSamples = Math.round(rateHz * FRAME_S);
  const levels = [];
  for (let start = 0; start + nFrameSamples <= samples.length; start += nFrameSamples) {
    let power = 0;
    for (let i = start; i < start + nFrameSamples; i += 1) power += samples[i] * samples[i];
    levels.push(Math.max(LOWEST_DB, 10 * Math.log10(power / nFrameSamples)));
  }
  return levels;
}

/** Seconds of speech among frames of that loudness. */
export function estimateSpeechS(levelsDb) {
  if (levelsDb.length === 0) return 0;
  const sorted = Float32Array.from(levelsDb).sort();
  const quiet = quantile(sorted, 0.05);
  const loud = quantile(sorted, 0.95);
  if (loud < SILENCE_DB || loud - quiet < MIN_RANGE_DB) return 0;
  const threshold = Math.max(quiet + SPEECH_PART * (loud - quiet), loud - MAX_BELOW_LOUD_DB);
  let nFrames = 0;
  let gap = MAX_GAP_FRAMES + 1;
  for (const level of levelsDb) {
    if (level < threshold) {
      gap += 1;
      continue;
    }
    nFrames += gap <= MAX_GAP_FRAMES ? gap + 1 : 1;
    gap = 0;
  }
  return nFrames * FRAME_S;
}

function quantile(sorted, q) {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
