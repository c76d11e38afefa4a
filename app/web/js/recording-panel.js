// A recording as it runs: the level, the clock, the waveform so far, and how much speech there is.

import { part } from "./dom.js";
import { drawPeaks, nBarsOf } from "./drawing.js";
import { record } from "./microphone.js";
import { FRAME_S, estimateSpeechS, frameLevelsDb } from "./speech.js";
import { seconds } from "./words.js";

// Samples still come in while a recording ends, and a clip that is a little too long is refused.
const STOP_EARLY_S = 0.5;
const LOWEST_DB = -60;
// There, Space has a meaning of its own.
const TAKES_SPACE = "input, textarea, select, button, a, summary";

// There is one microphone.
let running = null;

export async function stopRecording() {
  await running?.stop();
}

export class RecordingPanel {
  #card;
  #onSpeech;
  #onBegin;
  #maxS;
  #session = null;

  /**
   * `onSpeech` gets the estimated seconds of speech; `onBegin` the sampling rate, and may return a function for the samples as they
   * come. Past `maxS` seconds the recording ends by itself.
   */
  constructor(card, { onSpeech, onBegin, maxS }) {
    this.#card = card;
    this.#onSpeech = onSpeech;
    this.#onBegin = onBegin;
    this.#maxS = maxS;
  }

  /** Records until `stop`; resolves to `{samples, rateHz}`. */
  async run() {
    await stopRecording();
    const peaks = [];
    const levelsDb = [];
    let nSamples = 0;
    let rest = new Float32Array(0);
    let listener = null;
    const session = await record((piece) => {
      listener?.(piece);
      nSamples += piece.length;
      peaks.push(piece.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0));
      const unread = Float32Array.of(...rest, ...piece);
      const levels = frameLevelsDb(unread, session.rateHz);
      rest = unread.slice(levels.length * Math.round(session.rateHz * FRAME_S));
      levelsDb.push(...levels);
      this.#draw(peaks, levelsDb, nSamples / session.rateHz);
    });
    listener = this.#onBegin(session.rateHz); // before any piece can have come
    this.#session = session;
    running = this;
    document.addEventListener("keydown", this.#onKey);
    part(this.#card, "stop").focus();
    const samples = await new Promise((resolve) => (this.#session.resolve = resolve));
    return { samples, rateHz: session.rateHz };
  }

  async stop() {
    const session = this.#session;
    if (session === null) return;
    this.#session = null;
    running = null;
    document.removeEventListener("keydown", this.#onKey);
    session.resolve(await session.stop());
  }

  #onKey = (event) => {
    if (event.key !== " " || event.target.matches(TAKES_SPACE)) return;
    event.preventDefault();
    this.stop();
  };

  #draw(peaks, levelsDb, durationS) {
    const canvas = part(this.#card, "live");
    const seen = peaks.slice(-nBarsOf(canvas));
    drawPeaks(canvas, Float32Array.from(seen), Math.max(0.1, ...seen));
    const levelDb = levelsDb.at(-1) ?? LOWEST_DB;
    part(this.#card, "level").style.transform = `scaleX(${Math.max(0, 1 - levelDb / LOWEST_DB)})`;
    part(this.#card, "clock").textContent = seconds(durationS);
    this.#onSpeech(estimateSpeechS(levelsDb));
    if (durationS >= this.#maxS - STOP_EARLY_S) this.stop();
  }
}
