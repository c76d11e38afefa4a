// One clip on the page: recorded, dropped or chosen; drawn, played, judged, and taken away again.

import { fileClip, recordedClip } from "./clip.js";
import { announce, definitions, part, show } from "./dom.js";
import { drawSpectrogram, drawWaveform } from "./drawing.js";
import { Player } from "./player.js";
import { RecordingPanel } from "./recording-panel.js";
import { SpeechProgress, countedProgress, probeProgress } from "./speech-progress.js";
import { noiseInWords, seconds } from "./words.js";

const STATES = ["empty", "recording", "kept"];

export class ClipCard {
  #label;
  #limits;
  #told;
  #player;
  #panel;
  #progress;
  #countedS = null;
  clip = null;

  /** How much speech there is so far, as far as this page can tell. */
  speechS = 0;

  /**
   * `told.onChange` hears when the clip is there, another, or gone; `onSpeech` of more speech; with `onRemove` the card can go.
   * `onRecording` hears a recording's sampling rate, may return a function for its samples as they come, and then `onRecorded` hears
   * of its clip in place of `onChange`.
   */
  constructor(label, limits, told) {
    this.#label = label;
    this.#limits = limits;
    this.#told = told;
    this.view = document.getElementById("clip-template").content.firstElementChild.cloneNode(true);
    this.view.ariaLabel = label;
    part(this.view, "title").textContent = label;
    this.#progress = new SpeechProgress(`Speech in ${label}`);
    part(this.view, "speech").append(this.#progress.view);
    this.#player = new Player(part(this.view, "play"), part(this.view, "head"));
    this.#panel = new RecordingPanel(this.view, {
      onSpeech: (s) => this.#tellSpeech(s),
      onBegin: (rateHz) => told.onRecording?.(rateHz),
      maxS: limits.max_audio_s,
    });
    this.#listen();
    this.#enter("empty");
  }

  /** Takes a blob as a clip, as if it had been dropped. */
  async take(blob, fileName) {
    this.#keep(await fileClip(blob, fileName));
  }

  /** What the service counts in the recording so far; null where it does not, and the estimate is shown. */
  count(speechS) {
    this.#countedS = speechS;
    this.#tellProgress();
  }

  /** What the service found the clip to be worth. */
  judge(audio) {
    const rows = [
      ["Speech", `${seconds(audio.speech_s)} of ${seconds(audio.duration_s)}`],
      ["Noise", noiseInWords(audio.snr_db)],
      ["Clipping", audio.clipped_fraction > 0.001 ? `${(100 * audio.clipped_fraction).toFixed(1)} %` : "none"],
    ];
    const list = part(this.view, "quality");
    list.replaceChildren(...definitions(rows));
    show(list);
    show(part(this.view, "speech"), false);
    this.#tellAbout(`${audio.format}, ${audio.sample_rate_hz / 1000} kHz`);
  }

  /** Back to what this page knows by itself. */
  unjudge() {
    show(part(this.view, "quality"), false);
    show(part(this.view, "speech"), this.clip?.estimatedSpeechS != null);
    this.#tellAbout();
  }

  #listen() {
    const on = (name, event, act) => part(this.view, name).addEventListener(event, act);
    on("record", "click", () => this.#record());
    on("again", "click", () => this.#record());
    on("stop", "click", () => this.#panel.stop());
    on("choose", "click", () => part(this.view, "file").click());
    on("file", "change", (event) => this.#takeFile(event.target.files[0]));
    on("remove", "click", () => this.#remove());
    this.view.addEventListener("dragover", () => this.view.classList.add("dragged-over"));
    this.view.addEventListener("dragleave", () => this.view.classList.remove("dragged-over"));
    this.view.addEventListener("drop", (event) => {
      this.view.classList.remove("dragged-over");
      this.#takeFile(event.dataTransfer.files[0]);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    new ResizeObserver(() => this.#draw()).observe(part(this.view, "kept"));
  }

  async #record() {
    this.#tellProblem("");
    this.#player.clear();
    const before = this.clip;
    this.clip = null;
    this.#told.onChange();
    this.#enter("recording");
    this.#tellSpeech(0);
    try {
      const { samples, rateHz } = await this.#panel.run();
      this.#keep(recordedClip(samples, rateHz), this.#told.onRecorded);
      announce(`${this.#label} recorded, ${seconds(this.clip.durationS)}.`);
      part(this.view, "play").focus();
    } catch (error) {
      if (before === null) this.#enter("empty");
      else this.#keep(before);
      this.#tellProblem(error.message);
    }
  }

  async #takeFile(file) {
    if (file === undefined) return;
    this.#tellProblem("");
    await this.#panel.stop();
    await this.take(file, file.name);
    announce(`${this.#label}: ${file.name}.`);
  }

  #keep(clip, tell = this.#told.onChange) {
    this.clip = clip;
    this.#countedS = null;
    this.#player.load(clip.blob);
    show(part(this.view, "play"), clip.samples !== null); // what cannot be decoded cannot be played
    this.#enter("kept");
    this.unjudge();
    this.#tellSpeech(clip.estimatedSpeechS ?? 0);
    this.#draw();
    tell();
  }

  #remove() {
    this.#player.clear();
    this.clip = null;
    this.#tellSpeech(0);
    part(this.view, "file").value = "";
    this.#tellAbout();
    this.#enter("empty");
    if (this.#told.onRemove) this.#told.onRemove();
    else part(this.view, "record").focus();
    this.#told.onChange();
  }

  #enter(state) {
    for (const one of STATES) show(part(this.view, one), one === state);
    show(part(this.view, "controls"), state === "kept");
    show(part(this.view, "speech"), state === "recording");
    show(part(this.view, "quality"), false);
    this.view.dataset.state = state;
  }

  #draw() {
    if (this.clip === null) return;
    const { samples, rateHz } = this.clip;
    show(part(this.view, "no-preview"), samples === null);
    show(this.view.querySelector(".drawings"), samples !== null);
    if (samples === null) return;
    drawWaveform(part(this.view, "wave"), samples);
    drawSpectrogram(part(this.view, "mel"), samples, rateHz);
    part(this.view, "wave").ariaLabel = `Waveform of ${this.#label}`;
    part(this.view, "mel").ariaLabel = `Mel spectrogram of ${this.#label}: time to the right, pitch upwards to 8 kHz`;
  }

  #tellAbout(format) {
    const about = this.clip && [
      this.clip.durationS === null ? this.clip.fileName : seconds(this.clip.durationS),
      format,
    ];
    part(this.view, "about").textContent = about ? about.filter(Boolean).join(" · ") : "";
  }

  #tellSpeech(speechS) {
    this.speechS = speechS;
    this.#tellProgress();
    this.#told.onSpeech?.();
  }

  #tellProgress() {
    if (this.#countedS === null) probeProgress(this.#progress, this.speechS, this.#limits.min_speech_s);
    else countedProgress(this.#progress, this.#countedS, this.#limits.min_speech_s);
  }

  #tellProblem(sentence) {
    const target = part(this.view, "problem");
    target.textContent = sentence;
    show(target, sentence !== "");
  }
}
