// One clip and one speaker: is it that person? Whoever records is heard while they speak.

import { part } from "./dom.js";
import { LiveVerification } from "./live-verification.js";
import { CLIP_LABEL, ProbePage } from "./page-probe.js";
import { verificationView } from "./result.js";
import { clipForm, speakerPath } from "./service.js";
import { SpeakerPicker } from "./speaker-picker.js";

export class VerifyPage extends ProbePage {
  #service;
  #limits;
  #picker;
  #live;

  constructor(root, parts) {
    super(root, parts);
    const { service, model, limits } = parts;
    this.#service = service;
    this.#limits = limits;
    this.#picker = new SpeakerPicker(part(root, "picker"), service, ({ status }) => status === "enrolled");
    part(root, "picker").addEventListener("change", () => this.changed());
    this.#live = new LiveVerification(service, model.prior, limits, (speechS) => this.card.count(speechS));
    part(root, "clips").append(this.#live.view);
  }

  /** `chosen` is a speaker's ID, where another page leads here. */
  enter(chosen) {
    this.#picker.refresh(chosen).catch((error) => this.tell(error));
  }

  changed() {
    this.#live.drop();
    this.card.count(null);
    super.changed();
  }

  recording(rateHz) {
    const { speakerId } = this.#picker;
    // Who is claimed may still be chosen later; the clip is then sent whole.
    return speakerId === null ? null : this.#live.begin(speakerId, this.point.chosen, rateHz);
  }

  recorded() {
    if (this.#live.isOn) this.ask();
    else this.changed();
  }

  async send(clip, operatingPoint) {
    const name = this.#picker.label;
    const words = {
      accept: `It sounds like ${name}`,
      reject: `It does not sound like ${name}`,
      inconclusive: "It cannot be told yet",
    };
    const answer = (await this.#live.answer()) ?? (await this.#upload(clip, operatingPoint));
    return { answer, words, view: verificationView(answer, this.#limits, words, [CLIP_LABEL]) };
  }

  #upload(clip, operatingPoint) {
    const form = clipForm([["audio", clip]], { operating_point: operatingPoint });
    return this.#service.hear(speakerPath(this.#picker.speakerId, "/verify"), form);
  }
}
