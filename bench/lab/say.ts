/** What is going on, to standard error: standard output has the tables. */
export function say(words: string): void {
  console.error(words);
}
