/* Typeset, make all slides fit, then start. Nothing is asked of the network. */
(async () => {
  const printed = /print-pdf/.test(location.search);
  /* The window with the notes has no MathJax: they keep their TeX. */
  for (const math of document.querySelectorAll(".notes .math")) math.classList.remove("math");
  await MathJax.startup.promise;
  await MathJax.typesetPromise();
  await document.fonts.ready;

  /* Before the start all slides are laid out one below the other: smaller letters where too full. */
  const over = (body) =>
    body.scrollHeight > body.clientHeight + 1 || body.scrollWidth > body.clientWidth + 1;
  for (const body of document.querySelectorAll(".slide .body")) {
    let size = parseFloat(getComputedStyle(body).fontSize);
    while (over(body) && size > 13) body.style.fontSize = `${(size -= 1)}px`;
  }
  /* In a PDF a link to a file would name a folder of this machine. */
  if (printed)
    for (const link of document.querySelectorAll("a[href]"))
      if (!/^https?:/.test(link.getAttribute("href"))) link.removeAttribute("href");

  await Reveal.initialize({
    width: 1280,
    height: 720,
    margin: 0,
    center: false,
    hash: true,
    navigationMode: "linear",
    pdfMaxPagesPerSlide: 1,
    plugins: [RevealNotes],
    slideNumber: "c/t",
    transition: "none",
  });
})();
