// Search in the pages of this version. The index search.json is beside this file; the browser loads it when the reader
// first uses the search field. A page matches if it has every word of the query.
'use strict';

(() => {
  const index = new URL('search.json', document.currentScript.src);
  const box = document.querySelector('.search');
  const query = document.getElementById('query');
  const results = document.getElementById('results');
  const limit = 12;
  const texts = document.documentElement.lang === 'ja'
    ? { none: '見つかりません', failed: '検索を読み込めません', count: (n) => `${n} ページ` }
    : { none: 'No page has these words', failed: 'Cannot load the search index', count: (n) => (n === 1 ? '1 page' : `${n} pages`) };
  let pages;

  // load returns the pages of the index, with the texts in lower case beside them.
  const load = () => {
    pages ??= fetch(index).then((response) => {
      if (!response.ok) throw new Error(`status ${response.status}`);
      return response.json();
    }).then((list) => list.map((page) => ({
      ...page,
      lower: { title: page.title.toLowerCase(), headings: page.headings.toLowerCase(), text: page.text.toLowerCase() },
    })));
    return pages;
  };

  // count returns how often a word begins in a text, and how often it is inside a longer word.
  const count = (text, word) => {
    const found = { begins: 0, inside: 0 };
    for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
      if (/[a-z0-9]/.test(text[at - 1] ?? '')) found.inside++; else found.begins++;
    }
    return found;
  };

  // score returns how well a page matches, or 0 if it lacks a word. The title counts most.
  const score = (page, words) => {
    let sum = 0;
    for (const word of words) {
      const [title, headings, text] = ['title', 'headings', 'text'].map((part) => count(page.lower[part], word));
      const points = Math.min(title.begins, 1) * 20 + (page.lower.title === word ? 20 : 0) + Math.min(headings.begins, 2) * 5
        + Math.min(text.begins, 5) * 2 + Math.min(title.inside + headings.inside + text.inside, 1);
      if (points === 0) return 0;
      sum += points;
    }
    return sum;
  };

  // excerpt returns the text around the first place of a word, with each word marked.
  const excerpt = (page, words) => {
    const at = Math.max(0, ...words.map((word) => page.lower.text.indexOf(word)).filter((n) => n >= 0).slice(0, 1));
    const begin = Math.max(0, at - 60);
    const text = page.text.slice(begin, begin + 180);
    const span = document.createElement('span');
    if (begin > 0) span.append('… ');
    const lower = text.toLowerCase();
    for (let i = 0; i < text.length;) {
      const next = words.map((word) => ({ word, at: lower.indexOf(word, i) })).filter((hit) => hit.at >= 0)
        .sort((a, b) => a.at - b.at || b.word.length - a.word.length)[0];
      if (!next) { span.append(text.slice(i)); break; }
      span.append(text.slice(i, next.at));
      const mark = document.createElement('mark');
      mark.textContent = text.slice(next.at, next.at + next.word.length);
      span.append(mark);
      i = next.at + next.word.length;
    }
    return span;
  };

  const say = (text) => {
    const line = document.createElement('p');
    line.textContent = text;
    results.replaceChildren(line);
    results.hidden = false;
  };

  const search = async () => {
    const text = query.value;
    const words = text.toLowerCase().split(/\s+/).filter((word) => word !== '');
    if (words.length === 0) { results.hidden = true; return; }
    let list;
    try {
      list = await load();
    } catch {
      pages = undefined;
      say(texts.failed);
      return;
    }
    if (text !== query.value) return; // the reader typed on
    const hits = list.map((page) => ({ page, score: score(page, words) })).filter((hit) => hit.score > 0)
      .sort((a, b) => b.score - a.score || a.page.title.localeCompare(b.page.title));
    if (hits.length === 0) { say(texts.none); return; }
    say(texts.count(hits.length));
    const items = document.createElement('ol');
    for (const { page } of hits.slice(0, limit)) {
      const link = document.createElement('a');
      link.href = new URL(page.url, index).href;
      const title = document.createElement('b');
      title.textContent = page.title;
      link.append(title, excerpt(page, words));
      const item = document.createElement('li');
      item.append(link);
      items.append(item);
    }
    results.append(items);
  };

  query.addEventListener('focus', () => { load().catch(() => { pages = undefined; }); });
  query.addEventListener('input', search);
  document.addEventListener('click', (event) => { if (!box.contains(event.target)) results.hidden = true; });
  document.addEventListener('keydown', (event) => {
    if (event.key === '/' && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      query.focus();
    } else if (event.key === 'Escape' && !results.hidden) {
      results.hidden = true;
      query.focus();
    } else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && box.contains(document.activeElement)) {
      const stops = [query, ...results.querySelectorAll('a')];
      const next = stops.indexOf(document.activeElement) + (event.key === 'ArrowDown' ? 1 : -1);
      if (stops[next]) { event.preventDefault(); stops[next].focus(); }
    } else if (event.key === 'Enter' && document.activeElement === query) {
      results.querySelector('a')?.click();
    }
  });
  box.hidden = false;
})();
