/* Draws the charts of a page from their Vega-Lite descriptions. Where that fails, the server's picture stands in. */
import embed from '/static/1/drawing.js';

const refuse = async () => { throw new Error('a picture loads nothing'); };
const HOW = {
  mode: 'vega-lite', renderer: 'svg', logLevel: 1, actions: false,
  ast: true, // expressions are walked by Vega's interpreter: nothing makes code of text
  defaultStyle: false, tooltip: false, // each would put a style element into the page
  loader: { load: refuse, sanitize: refuse, http: refuse, file: refuse },
};

const pictured = (figure) => {
  const image = document.createElement('img');
  image.src = figure.dataset.picture;
  image.alt = figure.dataset.name;
  figure.prepend(image);
};

const told = (figure, description) => {
  const caption = document.createElement('figcaption');
  const more = document.createElement('details');
  const summary = document.createElement('summary');
  summary.textContent = figure.dataset.words;
  more.append(summary, description);
  caption.append(more);
  figure.append(caption);
};

const draw = async (figure) => {
  const place = document.createElement('div');
  try {
    const answer = await fetch(figure.dataset.chart);
    if (!answer.ok) throw new Error(String(answer.status));
    // What the data says must not set how it is drawn.
    const { $schema, usermeta, ...description } = await answer.json();
    figure.prepend(place);
    await embed(place, description, HOW);
    place.setAttribute('role', 'img');
    place.setAttribute('aria-label', figure.dataset.name);
    place.firstElementChild.setAttribute('aria-hidden', 'true'); // the words are below
    told(figure, description.description);
  } catch {
    place.remove();
    pictured(figure);
  }
  figure.dataset.drawn = '';
};
document.querySelectorAll('figure[data-chart]').forEach(draw);
