// The choice of a threshold, with what its error rates mean for people.

import { element } from "./dom.js";
import { oneIn, pointInWords } from "./words.js";

let nMade = 0;

export class OperatingPoint {
  #points;
  #select = element("select", { id: `point-${(nMade += 1)}` });
  #meaning = element("p", { className: "hint", id: `point-meaning-${nMade}` });
  #others = element("a", { className: "small" }, "What other thresholds cost");

  /** `model` is what GET /v1/model answers; `onChange` is told of another choice. */
  constructor(target, model, onChange) {
    this.#points = model.operating_points;
    for (const point of this.#points) {
      this.#select.append(
        new Option(pointInWords(point.name), point.name, false, point.name === model.default_operating_point),
      );
    }
    const tell = () => {
      const point = this.chosen;
      this.#meaning.textContent =
        `${oneIn(point.fmr)} strangers gets in, and ${oneIn(point.fnmr)} true speakers is turned away. ` +
        `Measured on ${point.measured_on}; yours may differ.`;
      this.#others.href = `#threshold/${point.name}`;
    };
    this.#select.setAttribute("aria-describedby", this.#meaning.id);
    this.#select.addEventListener("change", () => {
      tell();
      onChange();
    });
    tell();
    target.append(
      element(
        "div",
        { className: "field" },
        element("label", { htmlFor: this.#select.id }, "How strict"),
        this.#select,
        this.#meaning,
        model.error_curve && this.#others,
      ),
    );
  }

  get name() {
    return this.#select.value;
  }

  /** With its threshold and its error rates, as the model has it. */
  get chosen() {
    return this.#points.find(({ name }) => name === this.name);
  }
}
