// Keys of the page of a detection; and while something about it is still to change, it is looked after.

const POLL_SECONDS = 3;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input, select, textarea, audio, .scroll")) return;
  if (event.key === "ArrowLeft") document.querySelector("a[rel=prev]")?.click();
  if (event.key === "ArrowRight") document.querySelector("a[rel=next]")?.click();
  const sound = document.querySelector("audio.sound");
  if (event.key === " " && sound && !event.target.closest("a, button, summary")) {
    event.preventDefault();
    if (sound.paused) sound.play();
    else sound.pause();
  }
});

const awaiting = document.querySelector("[data-awaits]");

async function look() {
  const api = `${document.querySelector("meta[name=root]").content}/api/v1`;
  const { awaits, state, missing } = awaiting.dataset;
  try {
    const answers = await Promise.all([fetch(`${api}/detections/${awaits}`), fetch(`${api}/clips/${awaits}`)]);
    if (answers.every((answer) => answer.ok)) {
      const [detection, clip] = await Promise.all(answers.map((answer) => answer.json()));
      if (detection.state !== state || clip.missing !== missing) {
        location.reload();
        return;
      }
    }
  } catch {
    // The daemon is away just now: it is asked again.
  }
  setTimeout(look, POLL_SECONDS * 1000);
}

if (awaiting) setTimeout(look, POLL_SECONDS * 1000);
