/** What runs inside the source: Lua, because nothing else compares and deletes in one go. */
import { createHash } from 'node:crypto';

/** As the scripts below put it together. */
interface Counts {
  /** Writes since the last save. */
  readonly changes: number;
  /** Of saves, whatever tells one from the next. */
  readonly saves: string;
}

const savesFields = ['rdb_last_save_time', 'rdb_bgsave_in_progress', 'rdb_saves'];

/** From what INFO persistence says. */
export function readCounts(info: string): Counts {
  const field = (name: string): string => new RegExp(`${name}:(\\d+)`).exec(info)?.[1] ?? '';
  return {
    changes: Number(field('rdb_changes_since_last_save')),
    saves: savesFields.map(field).join(' '),
  };
}

/** Goes on only if the counts are what these arguments say. */
const unlessWritten = (
  changes: string,
  saves: string,
): string => `local info = redis.call('INFO', 'persistence')
local field = function(name) return string.match(info, name .. ':(%d+)') or '' end
local changes = field('rdb_changes_since_last_save')
local saves = ${savesFields.map((name) => `field('${name}')`).join(" .. ' ' .. ")}
if changes ~= ${changes} or saves ~= ${saves} then return {changes, saves} end
local deleted, refused = 0, {changes, saves, 0}
`;

/** Lua hands on no more than some 8,000 arguments. */
const keysPerCommand = 1000;

/**
 * Answers the counts, how many keys it deleted, and where some were refused why, and which (from 1).
 * Also tried before the start, with counts that never are: then it deletes nothing.
 */
export const guardScript = `${unlessWritten('ARGV[1]', 'ARGV[2]')}\
for from = 1, #KEYS, ${String(keysPerCommand)} do
  local to = math.min(from + ${String(keysPerCommand - 1)}, #KEYS)
  local answer = redis.pcall(ARGV[3], unpack(KEYS, from, to))
  if type(answer) == 'table' then
    refused[4] = answer.err
    for place = from, #KEYS do refused[#refused + 1] = place end
    break
  end
  deleted = deleted + answer
end
refused[3] = deleted
return refused`;

/**
 * For a node of a cluster, where the keys that a script declares must be of one slot. Those that it
 * does not declare need only be the node's own (scriptVerifyClusterState in Redis' script.c).
 */
export const sameSlotScript = `${unlessWritten('ARGV[#ARGV - 2]', 'ARGV[#ARGV - 1]')}\
for place = 1, #ARGV - 3 do
  local answer = redis.pcall(ARGV[#ARGV], ARGV[place])
  if type(answer) == 'table' then
    refused[4] = answer.err
    refused[#refused + 1] = place
  else deleted = deleted + answer end
end
refused[3] = deleted
return refused`;

/** How a script is called by EVALSHA. */
export function shaOf(script: string): string {
  return createHash('sha1').update(script).digest('hex');
}

export const guardScriptSha = shaOf(guardScript);

/**
 * What of a key may change without WATCH noticing it, as a mark; empty: nothing.
 *
 * Of a stream that is what its groups have come to: XINFO tells without reading the entries, and
 * times that go by are left out of it. (Where XINFO is forbidden, DUMP has to do; in it stands also
 * when a consumer last asked, so a stream is then moved only while nobody asks.)
 * `silent` is '1' where PERSIST goes unnoticed as well.
 */
const fingerprint = `local passing = {idle = true, inactive = true, ['radix-tree-nodes'] = true}
local told
local tell = function(answer)
  if answer.err then return false end
  for at = 1, #answer, 2 do
    local name, value = answer[at], answer[at + 1]
    if not passing[name] and type(value) ~= 'table' then told[#told + 1] = name .. '=' .. tostring(value) end
  end
  return true
end
local valueOf = function(answer, name)
  for at = 1, #answer, 2 do if answer[at] == name then return answer[at + 1] end end
end
local groups = function(key)
  told = {}
  if not tell(redis.pcall('XINFO', 'STREAM', key)) then return nil end
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    tell(group)
    local name = valueOf(group, 'name')
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', key, name)) do tell(consumer) end
  end
  return redis.sha1hex(table.concat(told, ' '))
end
local fingerprint = function(key, silent)
  local mark = ''
  if redis.call('TYPE', key).ok == 'stream' then
    mark = groups(key) or redis.sha1hex(redis.call('DUMP', key))
  end
  if silent == '1' and redis.call('PTTL', key) >= 0 then mark = mark .. '+' end
  return mark
end
`;

/** For each key its fingerprint. */
export const fingerprintScript = `${fingerprint}local marks = {}
for place, key in ipairs(KEYS) do marks[place] = fingerprint(key, ARGV[1]) end
return marks`;

/** Deletes the key if its fingerprint still is what the argument says; answers whether it is. */
export const ifUnchangedScript = `${fingerprint}\
if fingerprint(KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] ~= '' then redis.call(ARGV[3], KEYS[1]) end
return 1`;
