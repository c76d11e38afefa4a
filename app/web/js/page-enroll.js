// A speaker, some clips, and how far it is to "enrolled".

import { ClipCard } from "./clip-card.js";
import { announce, element, icon, part, show } from "./dom.js";
import { SpeakerChoice } from "./enroll-speaker.js";
import { problemView } from "./problem.js";
import { stopRecording } from "./recording-panel.js";
import { clipForm, speakerPath } from "./service.js";
import { SpeechProgress } from "./speech-progress.js";
import { counted, missingSeconds, nameOf, seconds } from "./words.js";

export class EnrollPage {
  #root;
  #service;
  #limits;
  #choice;
  #progress = new SpeechProgress("Speech towards being enrolled");
  #speaker = null;
  #cards = [];
  #nCards = 0;

  constructor(root, { service, limits }) {
    this.#root = root;
    this.#service = service;
    this.#limits = limits;
    this.#choice = new SpeakerChoice(
      root,
      service,
      (speaker) => this.#choose(speaker),
      (error) => this.#tell(error && problemView(error)),
    );
    part(root, "progress").append(this.#progress.view);
    part(root, "send").addEventListener("click", () => this.#send());
  }

  /** `chosen` is a speaker's ID, where another page leads here. */
  enter(chosen) {
    if (chosen) this.#choice.choose(chosen);
  }

  #choose(speaker) {
    stopRecording();
    this.#tell(null);
    this.#speaker = speaker;
    this.#choice.show(speaker);
    show(part(this.#root, "first"), speaker === null);
    show(part(this.#root, "speech"), speaker !== null);
    if (speaker !== null) this.#begin();
  }

  /** An empty card alone. */
  #begin() {
    this.#cards = [];
    this.#nCards = 0;
    part(this.#root, "clips").replaceChildren();
    this.#addCard();
    this.#measure();
  }

  #addCard() {
    this.#nCards += 1;
    const card = new ClipCard(`Clip ${this.#nCards}`, this.#limits, {
      onChange: () => this.#changed(),
      onSpeech: () => this.#measure(),
      onRemove: () => this.#drop(card),
    });
    this.#cards.push(card);
    part(this.#root, "clips").append(card.view);
  }

  #drop(card) {
    if (this.#cards.length === 1) return;
    this.#cards = this.#cards.filter((one) => one !== card);
    card.view.remove();
  }

  #changed() {
    const hasRoom = this.#cards.length < this.#limits.max_clips;
    if (hasRoom && this.#cards.every((card) => card.clip !== null)) this.#addCard();
    this.#tell(null);
    this.#measure();
  }

  #filled() {
    return this.#cards.filter((card) => card.clip !== null);
  }

  #measure() {
    if (this.#speaker === null) return; // a recording ended after its speaker was put away
    const { speech_s: keptS, remaining_speech_s: remainingS } = this.#speaker;
    const newS = this.#cards.reduce((sum, card) => sum + card.speechS, 0);
    const enoughS = remainingS > 0 ? keptS + remainingS : this.#limits.enroll_min_speech_s;
    const heard = [];
    if (keptS > 0) heard.push(`${seconds(keptS)} enrolled`);
    if (newS > 0) heard.push(`about ${seconds(newS)} in new clips`);
    const missingS = enoughS - keptS - newS;
    const rest = missingS > 0 ? `${missingSeconds(missingS)} more is needed` : "that is enough";
    this.#progress.set({
      keptS,
      newS,
      enoughS,
      text: `${heard.join(" and ") || "No speech yet"}; ${rest}`,
      source: `the service asks for ${seconds(enoughS)}; new clips are estimated here`,
    });
    const n = this.#filled().length;
    const send = part(this.#root, "send");
    send.disabled = n === 0;
    send.textContent = n > 1 ? `Enroll ${counted(n, "clip")}` : "Enroll";
  }

  async #send() {
    const clips = this.#filled().map((card) => card.clip);
    part(this.#root, "send").disabled = true;
    part(this.#root, "result").classList.add("busy");
    this.#tell(null);
    try {
      const form = clipForm(clips.map((clip) => ["audio", clip]));
      const { speaker } = await this.#service.make(speakerPath(this.#speaker.speaker_id, "/enrollments"), form);
      this.#choose(speaker);
      this.#tell(enrolledView(speaker, clips.length));
    } catch (error) {
      this.#tell(problemView(error));
      this.#measure();
    } finally {
      part(this.#root, "result").classList.remove("busy");
    }
  }

  #tell(view) {
    part(this.#root, "result").replaceChildren(...(view ? [view] : []));
    view?.scrollIntoView({ block: "nearest" });
  }
}

function enrolledView(speaker, nClips) {
  const isEnrolled = speaker.status === "enrolled";
  const title = isEnrolled
    ? `${nameOf(speaker)} is enrolled`
    : `${missingSeconds(speaker.remaining_speech_s)} more speech is needed`;
  announce(title);
  return element(
    "section",
    { className: `result ${isEnrolled ? "accept" : "inconclusive"}`, ariaLabel: "Result" },
    element(
      "div",
      { className: "verdict" },
      element("span", { className: "seal" }, icon(isEnrolled ? "accept" : "enroll")),
      element(
        "div",
        {},
        element("p", { className: "decision" }, `${counted(nClips, "clip")} added`),
        element("h2", {}, title),
        element(
          "p",
          { className: "quiet-text" },
          `${seconds(speaker.speech_s)} of speech in ${counted(speaker.enrollment_count, "clip")}.`,
        ),
      ),
      isEnrolled
        ? element(
            "a",
            { className: "button primary", href: `#verify/${encodeURIComponent(speaker.speaker_id)}` },
            "Verify now",
          )
        : null,
    ),
  );
}
