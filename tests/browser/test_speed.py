"""How soon the page is there and how fast it answers: measured and printed.

No test asserts a time: what is asserted is that everything was measured.
"""

from __future__ import annotations

from statistics import median

from diffkit.lesson.sections import SECTIONS

NAMES = [section.name for section in SECTIONS]
LOADS = 5

PAINTED = """() => new Promise((done) => {
  const at = () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime;
  const look = () => at() === undefined ? setTimeout(look, 10) : done(at());
  look();
})"""

#: Move each control once: milliseconds of its handlers, and until the next frame.
ANSWERS = """async () => {
  const tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries()
    .map((entry) => entry.duration))).observe({ type: 'longtask' });
  const frame = () => new Promise((go) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = go;
    channel.port2.postMessage(0);
  }));
  const times = [];
  for (const e of document.querySelectorAll(
      'main input[type=range], main select, lesson-steps .bar button:last-of-type')) {
    e.closest('section').scrollIntoView();
    await frame(); await frame();
    const start = performance.now();
    if (e.type === 'range') e.value = e.value === e.max ? e.min : Number(e.value) + 1;
    else if (e.options) e.selectedIndex = (e.selectedIndex + 1) % e.options.length;
    if (e.tagName === 'BUTTON') e.click();
    else e.dispatchEvent(new Event(e.options ? 'change' : 'input', { bubbles: true }));
    const handled = performance.now() - start;
    await frame();
    times.push([e.closest('section').id, e.name || 'step', handled,
      performance.now() - start]);
  }
  await new Promise((go) => setTimeout(go, 100));
  return { times, tasks };
}"""


def test_first_paint(opened, capsys):
    paints = [opened().evaluate(PAINTED) for _ in range(LOADS)]
    size = len(opened().content())
    with capsys.disabled():
        each = ", ".join(f"{paint:.0f}" for paint in paints)
        print(
            f"\nfirst paint: median {median(paints):.0f} ms of {each} ms; "
            f"{size:,} characters once it is open"
        )
    assert len(paints) == LOADS


def test_answers(opened, capsys):
    page = opened()
    measured = page.evaluate(ANSWERS)
    times, tasks = measured["times"], measured["tasks"]
    with capsys.disabled():
        print(f"\n{len(times)} controls: to the next frame", end=" ")
        print(f"median {median(t[3] for t in times):.0f} ms,", end=" ")
        print(f"long tasks (> 50 ms): {len(tasks)}")
        for section, name, handled, framed in sorted(times, key=lambda t: -t[2])[:5]:
            print(
                f"  {section} {name}: {handled:.1f} ms handled, {framed:.1f} ms shown"
            )
    count = page.locator("main input[type=range], main select, lesson-steps").count()
    assert len(times) == count
