/** The messages of errors as they stand in the source, `…` for what is known only at run time. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export interface Message {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

const source = fileURLToPath(new URL('../../../src/', import.meta.url));
/** Those that a command ends with: exit codes 2 and 3. */
const errors = /^(Usage|Preflight|Source|Target|Rdb|Import|Connection|Refused)Error$/;
/** What is said of connections and logins is put together here. */
const sentences = 'redis/sentences.ts';

export function messagesOfErrors(): readonly Message[] {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith('.ts')).flatMap(messagesOf);
}

function messagesOf(file: string): readonly Message[] {
  const text = readFileSync(`${source}${file}`, 'utf8');
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: Message[] = [];
  const add = (node: ts.Node, words: readonly string[]): void => {
    const line = tree.getLineAndCharacterOfPosition(node.getStart()).line + 1;
    for (const one of words) if (saysSomething(one)) found.push({ file, line, text: one });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) && errors.test(node.expression.getText())) {
      // Of a dump, what was found comes behind the kind of that.
      const words = node.arguments?.[node.expression.getText() === 'RdbError' ? 1 : 0];
      if (words) add(words, wordsOf(words));
    }
    if (file === sentences && ts.isTemplateExpression(node)) {
      add(
        node,
        wordsOf(node).filter((one) => one.endsWith('.')),
      );
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** What is known only at run time, but for an option or a single word, is a message of another place. */
function saysSomething(text: string): boolean {
  return (text.replaceAll(/--[a-z-]+/g, '').match(/[a-z]+/gi) ?? []).length > 1;
}

/** Every form that an expression can take. */
function wordsOf(node: ts.Expression): readonly string[] {
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isParenthesizedExpression(node)) return wordsOf(node.expression);
  if (ts.isConditionalExpression(node)) {
    return [...wordsOf(node.whenTrue), ...wordsOf(node.whenFalse)];
  }
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    return product(wordsOf(node.left), wordsOf(node.right));
  }
  if (ts.isTemplateExpression(node)) {
    return node.templateSpans.reduce<readonly string[]>(
      (before, { expression, literal }) =>
        product(product(before, wordsOf(expression)), [literal.text]),
      [node.head.text],
    );
  }
  return ['…'];
}

function product(ones: readonly string[], others: readonly string[]): readonly string[] {
  return ones.flatMap((one) => others.map((other) => one + other));
}
