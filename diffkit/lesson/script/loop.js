// A strip of nodes beside a player: the node of the step that is shown lights up.
class Strip extends lesson.Element {
  start() {
    const player = this.querySelector("lesson-steps");
    const nodes = [...this.querySelectorAll(".strip > li")];
    const show = (place) => {
      const lit = Number(player.items[place].dataset.node);
      nodes.forEach((node, i) => {
        node.classList.toggle("lit", i === lit);
        if (i === lit) node.setAttribute("aria-current", "step");
        else node.removeAttribute("aria-current");
      });
    };
    player.addEventListener("step", (event) => show(event.detail));
    show(player.place);
  }
}
lesson.define("lesson-strip", Strip);
