// Plays a clip, with a line that moves over its drawing.

import { icon, show } from "./dom.js";

export class Player {
  #audio = new Audio();
  #button;
  #head;
  #url = null;

  constructor(button, head) {
    this.#button = button;
    this.#head = head;
    button.addEventListener("click", () =>
      this.#audio.paused ? this.#audio.play().catch(() => this.#audio.pause()) : this.#audio.pause(),
    );
    for (const event of ["play", "pause", "ended"]) this.#audio.addEventListener(event, () => this.#tell());
  }

  load(blob) {
    this.clear();
    this.#url = URL.createObjectURL(blob);
    this.#audio.src = this.#url;
    this.#tell();
  }

  clear() {
    this.#audio.pause();
    if (this.#url === null) return;
    URL.revokeObjectURL(this.#url);
    this.#audio.removeAttribute("src");
    this.#url = null;
  }

  #tell() {
    const isPlaying = !this.#audio.paused && !this.#audio.ended;
    this.#button.replaceChildren(icon(isPlaying ? "pause" : "play"), isPlaying ? "Pause" : "Play");
    show(this.#head, isPlaying);
    if (isPlaying) requestAnimationFrame(this.#move);
  }

  #move = () => {
    const { currentTime, duration, paused } = this.#audio;
    // Some recordings do not say how long they are.
    if (Number.isFinite(duration)) this.#head.style.insetInlineStart = `${(100 * currentTime) / duration}%`;
    if (!paused) requestAnimationFrame(this.#move);
  };
}
