// Choosing a speaker: from a list where the key may read it and it is short, by typing the ID elsewhere.

import { element } from "./dom.js";
import { nameOf, statusInWords } from "./words.js";

const MOST_LISTED = 200;

export class SpeakerPicker {
  #target;
  #service;
  #isUsable;
  #field = null;

  /** `isUsable(speaker)` says who may be chosen. */
  constructor(target, service, isUsable) {
    this.#target = target;
    this.#service = service;
    this.#isUsable = isUsable;
  }

  get speakerId() {
    return this.#field?.value.trim() || null;
  }

  /** A name for people, where it is known. */
  get label() {
    return this.#field?.selectedOptions?.[0]?.dataset.name ?? this.speakerId;
  }

  /** Reads the list anew; who was chosen stays so. */
  async refresh(chosen = this.speakerId) {
    const page = await this.#service.get(`v1/speakers?limit=${MOST_LISTED}`).catch((error) => {
      if (error.status === 403) return null; // a key that verifies need not read speakers
      throw error;
    });
    const isListed = page !== null && page.next_cursor === null;
    this.#field = isListed ? this.#list(page.speakers) : typed();
    if (chosen) this.#field.value = chosen;
    this.#field.id = `${this.#target.closest("section[id]").id}-speaker`;
    this.#target.replaceChildren(
      element("div", { className: "field" }, element("label", { htmlFor: this.#field.id }, "Speaker"), this.#field),
    );
  }

  #list(speakers) {
    const select = element("select", { required: true });
    select.append(new Option(speakers.length ? "Choose a speaker" : "Nobody is known yet", ""));
    for (const speaker of speakers) {
      const isUsable = this.#isUsable(speaker);
      const name = nameOf(speaker);
      const id = name === speaker.speaker_id ? "" : ` (${speaker.speaker_id})`;
      const option = new Option(
        `${name}${id}${isUsable ? "" : `, ${statusInWords(speaker.status)}`}`,
        speaker.speaker_id,
      );
      option.disabled = !isUsable;
      option.dataset.name = name;
      select.append(option);
    }
    return select;
  }
}

function typed() {
  return element("input", {
    required: true,
    maxLength: 128,
    spellcheck: false,
    autocapitalize: "none",
    placeholder: "Speaker ID",
  });
}
