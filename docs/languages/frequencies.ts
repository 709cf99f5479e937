// The words of a text, the most frequent first.
class Word {
  constructor(public text: string, public count: i32) {}
}

export function frequencies(address: usize, length: i32): i32 {
  const text = String.UTF8.decodeUnsafe(address, length);
  const counts = new Map<string, i32>();
  const words = text.split(" ");
  for (let i = 0; i < words.length; i++)
    counts.set(words[i], counts.has(words[i]) ? counts.get(words[i]) + 1 : 1);
  const names = counts.keys();
  const sorted = new Array<Word>();
  for (let i = 0; i < names.length; i++) sorted.push(new Word(names[i], counts.get(names[i])));
  sorted.sort((a, b) => (a.count != b.count ? b.count - a.count : a.text > b.text ? 1 : -1));
  for (let i = 0; i < sorted.length; i++) console.log(sorted[i].count.toString() + " " + sorted[i].text);
  trace("words", 2, <f64>words.length, <f64>words.length / <f64>sorted.length);
  assert(sorted.length < 12, "too many words");
  return sorted.length;
}
