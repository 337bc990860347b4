/**
 * `npm run house`: what the house is like to live in, counted over src/, so that "simpler" can be
 * shown. `npm run house -- --list` names the files too.
 *
 *   - files with one importer: those that stand for themselves only by being files
 *   - repeated base names: what an editor's "go to file" can't tell apart (but index.ts)
 *   - all options: parameters, and fields of what is handed on, whose type has most of the fields of
 *     ImportOptions, whatever that type is called; those that put runs together and plan them may
 *   - files of a key: those that declare what a key goes through, from SCAN to its deletion
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const smallLines = 60;
/** A type with such a share of the fields of ImportOptions counts as all of them. */
const mostOfThem = 3 / 4;

/** What a reader looks up, in this order, to follow a string that nobody writes to meanwhile. */
const wayOfAKey = [
  ...['scanSource', 'sources/PageReader', 'keysBuilder', 'Source', 'Pipeline'],
  ...['batcher', 'slotOf', 'listingRecord', 'unmovedKeys', 'createInFlight'],
  ...['createThrottle', 'nodeHealth', 'autoMover', 'mayOverwrite', 'relay'],
  ...[
    'GuardChooser',
    'guardedRemoval',
    'guardScript',
    'RelayConnection',
    'ConnectionPool',
    'storeInOnePiece',
  ],
  ...['AskWindow', 'Expiry', 'ValueShapes', 'storeCommands', 'connect', 'commandHead'],
  ...['BulksReader', 'Splice', 'createOutput', 'AckReader', 'durability', 'outcomeBuilder'],
  ...['createTally'],
];

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'src');
const isListing = process.argv.includes('--list');

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => {
    const path = join(source, name);
    const text = readFileSync(path, 'utf8');
    return { path, name: relative(source, path), text, lines: text.split('\n').length - 1 };
  })
  .sort((one, other) => one.lines - other.lines);
const lines = files.map((file) => file.lines);
const largest = files.at(-1);

const oneImporter = filesWithOneImporter();
const small = oneImporter.filter((file) => file.lines < smallLines);
const repeated = repeatedNames();
const takers = signaturesWithAllOptions();
const takersBelow = takers.filter((place) => !/^(cli|commands|workers|run|plan)\//.test(place));
const way = filesOfAKey();

/** @type {[string, number | string, string[]?][]} */
const rows = [
  ['source files', files.length],
  ['lines in all', lines.reduce((sum, count) => sum + count, 0)],
  ['median lines', lines[Math.floor(lines.length / 2)] ?? 0],
  ['largest file', largest ? `${String(largest.lines)} (${largest.name})` : 0],
  ['files with one importer', oneImporter.length],
  [`of these under ${String(smallLines)} lines`, small.length, small.map((file) => file.name)],
  ['base names that occur twice or more', repeated.length, repeated],
  ['signatures with all options', takers.length, takers],
  ['of these below plan/', takersBelow.length, takersBelow],
  ['files of a key (SCAN, node, deletion)', way.length, way],
];
for (const [what, count, list = []] of rows) {
  console.log(`${what.padEnd(40)} ${String(count)}`);
  if (isListing) for (const one of list) console.log(`    ${one}`);
}

/** By static imports, dynamic ones, and files that are named for a thread. */
function filesWithOneImporter() {
  /** @type {Map<string, Set<string>>} */
  const importers = new Map();
  for (const { path, text } of files) {
    const imported = ts.preProcessFile(text).importedFiles.map(({ fileName }) => fileName);
    const named = [...text.matchAll(/new URL\('(\.[^']+)', import\.meta\.url\)/g)].flatMap(
      ([, name]) => name ?? [],
    );
    for (const name of [...imported, ...named]) {
      if (!name.startsWith('.')) continue;
      const target = resolve(path, '..', name).replace(/\.js$/, '.ts');
      importers.set(target, (importers.get(target) ?? new Set()).add(path));
    }
  }
  return files.filter(({ path }) => importers.get(path)?.size === 1);
}

function repeatedNames() {
  /** @type {Map<string, string[]>} */
  const byName = new Map();
  for (const { name } of files) {
    const base = basename(name);
    if (base !== 'index.ts') byName.set(base, [...(byName.get(base) ?? []), name]);
  }
  return [...byName].flatMap(([base, names]) =>
    names.length > 1 ? `${base}: ${names.join(', ')}` : [],
  );
}

function signaturesWithAllOptions() {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) =>
    ts.sys.readFile(path),
  );
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram(
    files.map(({ path }) => path),
    options,
  );
  const checker = program.getTypeChecker();
  const all = fieldsOf(declaredType(program, 'options/options.ts', 'ImportOptions'));
  return files.flatMap(({ path, name }) => {
    const tree = program.getSourceFile(path);
    /** @type {string[]} */
    const found = [];
    /** @param {ts.Node} node */
    const visit = (node) => {
      if (isHandedOver(node)) {
        const fields = fieldsOf(checker.getTypeAtLocation(node));
        const shared = [...all].filter((field) => fields.has(field));
        const line = node.getSourceFile().getLineAndCharacterOfPosition(node.getStart()).line + 1;
        if (shared.length >= all.size * mostOfThem) found.push(`${name}:${String(line)}`);
      }
      ts.forEachChild(node, visit);
    };
    if (tree) visit(tree);
    return found;
  });
}

/** @param {ts.Node} node */
function isHandedOver(node) {
  return ts.isParameter(node) || ts.isPropertySignature(node) || ts.isPropertyDeclaration(node);
}

/** @param {ts.Type} type */
function fieldsOf(type) {
  return new Set(
    type
      .getNonNullableType()
      .getApparentProperties()
      .map(({ name }) => name),
  );
}

/** @param {ts.Program} program @param {string} file @param {string} name */
function declaredType(program, file, name) {
  const found = program
    .getSourceFile(join(source, file))
    ?.statements.find((one) => ts.isTypeAliasDeclaration(one) && one.name.text === name);
  if (!found) throw new Error(`src/${file} declares no ${name}: correct this script.`);
  return program.getTypeChecker().getTypeAtLocation(found);
}

function filesOfAKey() {
  return [...new Set(wayOfAKey.map(declaringFile))];
}

/** @param {string} wanted the name of an export, behind the folder where several have it. */
function declaringFile(wanted) {
  const [, folder = '', name = ''] = /^(.*\/)?(\w+)$/.exec(wanted) ?? [];
  const declaration = new RegExp(
    `^(export )?(async )?(function|class|const|interface) ${name}\\b`,
    'm',
  );
  const found = files.find((file) => file.name.startsWith(folder) && declaration.test(file.text));
  if (!found) throw new Error(`src/ declares no ${wanted}: correct the list in this script.`);
  return found.name;
}
