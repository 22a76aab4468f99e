// The drawing follows the player: what is not known yet is faint, what is new is lit.
// An edge is picked by its radio button, or by a click in the drawing.
class Backward extends lesson.Element {
  start() {
    this.svg = document.getElementById("backward-network");
    this.known = [...this.svg.querySelectorAll("[data-at]")];
    const player = this.querySelector("lesson-steps");
    player.addEventListener("step", (event) => this.show(event.detail));
    this.show(player.place);

    this.radios = [...this.querySelectorAll("input[name='backward-edge']")];
    this.bodies = [...document.getElementById("backward-agree").tBodies];
    this.said = document.getElementById("backward-said");
    this.classList.add("live");
    for (const radio of this.radios) {
      radio.addEventListener("change", () => this.pick(radio.value));
    }
    this.svg.addEventListener("click", (event) => {
      const edge = event.target.closest("[data-edge]");
      if (edge) this.pick(edge.dataset.edge);
    });
    const asked = lesson.read(this, "edge");
    const keys = this.radios.map((radio) => radio.value);
    this.pick(keys.includes(asked) ? asked : keys[0], false);
  }

  show(place) {
    const fresh = new Set();
    for (const text of this.known) {
      const at = Number(text.dataset.at);
      text.classList.toggle("later", at > place);
      text.parentNode.classList.toggle("fresh", false);
      if (at === place) fresh.add(text.parentNode);
    }
    for (const group of fresh) group.classList.add("fresh");
    this.reveal([...fresh][0]);
  }

  // Where the drawing is wider than its box, what is new is scrolled to the middle.
  reveal(group) {
    const box = this.svg.parentElement;
    const { x, width } = group.getBBox();
    const scale = this.svg.clientWidth / this.svg.viewBox.baseVal.width;
    box.scrollLeft = (x + width / 2) * scale - box.clientWidth / 2;
  }

  // How many digits are right, by way: the last column of the picked edge.
  digits(key) {
    const body = this.bodies.find((one) => one.dataset.edge === key);
    const rows = [...body.rows].filter((row) => row.querySelector("mark"));
    const right = rows.map((row) => `${row.cells[0].textContent} ${row.cells[2].textContent}`);
    return `Right digits: ${right.join(", ")}.`;
  }

  pick(key, store = true) {
    for (const radio of this.radios) radio.checked = radio.value === key;
    for (const body of this.bodies) body.classList.toggle("chosen", body.dataset.edge === key);
    for (const edge of this.svg.querySelectorAll("[data-edge]")) {
      edge.classList.toggle("picked", edge.dataset.edge === key);
    }
    this.said.textContent = this.digits(key);
    if (store) lesson.write(this, "edge", key);
  }
}
lesson.define("lesson-backward", Backward);
