// A line that follows the sound through its picture, and a picture that can be clicked to hear what is there.

function follow(strip, audio) {
  const begin = Number(strip.dataset.begin);
  const end = Number(strip.dataset.end);
  const line = strip.querySelector(".head line");
  const picture = strip.querySelector("[data-seek]");
  // The media's clock ticks in steps larger than a frame: a sound that was stopped at `end` stands a little behind it.
  const slack = 0.05;

  function draw() {
    const at = (audio.currentTime - begin) / (end - begin);
    line.classList.toggle("there", at >= 0 && at <= 1);
    line.setAttribute("x1", `${at * 100}%`);
    line.setAttribute("x2", `${at * 100}%`);
  }

  function step() {
    if (audio.currentTime >= end && end < audio.duration - slack) {
      audio.pause(); // only a part is looked at
      audio.currentTime = end;
    }
    draw();
    if (!audio.paused) requestAnimationFrame(step);
  }

  audio.addEventListener("play", () => {
    if (audio.currentTime < begin - slack || audio.currentTime >= end - slack) audio.currentTime = begin;
    step();
  });
  for (const name of ["timeupdate", "seeked", "loadedmetadata"]) audio.addEventListener(name, draw);

  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    audio.currentTime = begin + ((event.clientX - box.left) / box.width) * (end - begin);
    audio.play();
  });
}

for (const strip of document.querySelectorAll(".strip:not(.silent)")) {
  follow(strip, strip.parentElement.querySelector("audio.sound"));
}
