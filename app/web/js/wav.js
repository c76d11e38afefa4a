// Samples to a WAV file: mono, 16-bit, at the rate they were recorded with.

import { pcmBytes } from "./pcm.js";

const N_HEADER_BYTES = 44;
const N_SAMPLE_BYTES = 2;
const PCM = 1;

/** `samples` is a Float32Array in [-1, 1]; what lies outside is cut off. Returns a Blob of type audio/wav. */
export function wavBlob(samples, rateHz) {
  const data = pcmBytes(samples);
  const view = new DataView(new ArrayBuffer(N_HEADER_BYTES));
  writeText(view, 0, "RIFF");
  view.setUint32(4, N_HEADER_BYTES - 8 + data.length, true);
  writeText(view, 8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of the format chunk
  view.setUint16(20, PCM, true);
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rateHz, true);
  view.setUint32(28, rateHz * N_SAMPLE_BYTES, true);
  view.setUint16(32, N_SAMPLE_BYTES, true);
  view.setUint16(34, 8 * N_SAMPLE_BYTES, true);
  writeText(view, 36, "data");
  view.setUint32(40, data.length, true);
  return new Blob([view, data], { type: "audio/wav" });
}

function writeText(view, offset, text) {
  for (let i = 0; i < text.length; i += 1) view.setUint8(offset + i, text.charCodeAt(i));
}
