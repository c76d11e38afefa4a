// Samples as bytes, as WAV files and the service's streams have them.

const N_SAMPLE_BYTES = 2;
const FULL_SCALE = 32767;

/** `samples` is a Float32Array in [-1, 1]; what lies outside is cut off. Returns 16-bit samples, little-endian, as a Uint8Array. */
export function pcmBytes(samples) {
  const view = new DataView(new ArrayBuffer(samples.length * N_SAMPLE_BYTES));
  samples.forEach((sample, i) => {
    const bounded = Math.max(-1, Math.min(1, sample));
    view.setInt16(i * N_SAMPLE_BYTES, Math.round(bounded * FULL_SCALE), true);
  });
  return new Uint8Array(view.buffer);
}
