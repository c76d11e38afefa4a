// What to do about an answer that decides nothing, from the answer's own numbers and the service's limits.

import { ADVICE, missingSeconds, seconds } from "./words.js";

/** Sentences, one for each thing that stands in the way. `labels` names the clips in the order of the call. */
export function adviceOn(answer, limits, labels) {
  return answer.reasons.flatMap((reason) => {
    if (reason === "not_enough_speech") return forEach(answer.audio, labels, (audio) => tooShort(audio, limits));
    if (reason === "too_noisy") return forEach(answer.audio, labels, (audio) => tooNoisy(audio, limits));
    return [ADVICE[reason] ?? `The service says: ${reason.replaceAll("_", " ")}.`];
  });
}

function forEach(audios, labels, sentence) {
  return audios
    .map((audio, i) => [labels[i], sentence(audio)])
    .flatMap(([label, said]) => (said ? [`${label}: ${said}`] : []));
}

function tooShort(audio, limits) {
  if (audio.speech_s >= limits.min_speech_s) return null;
  const missing = missingSeconds(limits.min_speech_s - audio.speech_s);
  const heard = audio.speech_s < 0.05 ? "No speech" : `${seconds(audio.speech_s)} of speech`;
  return `speak ${missing} more. ${heard} was heard, and the service decides on ${seconds(limits.min_speech_s)} or more.`;
}

function tooNoisy(audio, limits) {
  if (audio.snr_db === null || audio.snr_db >= limits.min_snr_db) return null;
  return `come closer to the microphone, or find a quieter place. Speech stands ${audio.snr_db.toFixed(0)} dB above the noise, and ${limits.min_snr_db} dB is needed.`;
}
