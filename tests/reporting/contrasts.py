"""How far every text of a page stands out from what is behind it."""

AA_CONTRAST = 4.5
# A script that gives the lowest contrast by tag and class.
CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => channels(colour).slice(0, 3)
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (channels(colour)[3] === 255) return colour;
    }
    return 'white';
  };
  const found = {};
  for (const node of document.querySelectorAll('main *, nav *')) {
    const text = [...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim());
    if (!text || !node.checkVisibility()) continue;
    const isDrawn = node instanceof SVGElement;
    const style = getComputedStyle(node);
    const [a, b] = [isDrawn ? style.fill : style.color, ground(node)].map(luminance);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const name = node.tagName + '.' + node.getAttribute('class');
    found[name] = Math.min(found[name] ?? 99, contrast);
  }
  return found;
}"""
