// A clip: what is sent, and what is drawn of it.

import { estimateSpeechS, frameLevelsDb } from "./speech.js";
import { wavBlob } from "./wav.js";

const DRAWN_RATE_HZ = 16000;

/** A clip from the microphone. */
export function recordedClip(samples, rateHz) {
  return clipOf(wavBlob(samples, rateHz), "recording.wav", { samples, rateHz });
}

/** A clip from a file of any kind. `samples` is null where the browser cannot decode it; the service may all the same. */
export async function fileClip(blob, fileName) {
  return clipOf(blob, fileName, await decoded(blob));
}

function clipOf(blob, fileName, { samples, rateHz }) {
  return {
    blob,
    fileName,
    samples,
    rateHz,
    durationS: samples && samples.length / rateHz,
    estimatedSpeechS: samples ? estimateSpeechS(frameLevelsDb(samples, rateHz)) : null,
  };
}

async function decoded(blob) {
  const context = new OfflineAudioContext(1, 1, DRAWN_RATE_HZ);
  try {
    const audio = await context.decodeAudioData(await blob.arrayBuffer());
    return { samples: mono(audio), rateHz: audio.sampleRate };
  } catch {
    return { samples: null, rateHz: null };
  }
}

function mono(audio) {
  const mixed = new Float32Array(audio.length);
  for (let channel = 0; channel < audio.numberOfChannels; channel += 1) {
    audio.getChannelData(channel).forEach((sample, i) => {
      mixed[i] += sample / audio.numberOfChannels;
    });
  }
  return mixed;
}
