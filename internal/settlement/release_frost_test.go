package settlement

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// A frost is both stores as text, a line for each thing:
//
//	string|hash|zset|stream key word …      a value of Redis; of a stream, an entry and its ID
//	expires key ms
//	sequence name last                      of Postgres
//	row table json
//	ask line                                what was asked
//	before …, after …                       what everybody is told, before and after all is settled
//
// Left out, or told as something else, is what is another in every run: which server the
// owner trusted, how fast it drained, the IDs of the dead letters, and the moments at
// which Postgres wrote something down.

const writtenDown = "2099-12-31T00:00:00+00:00"

var whenWritten = regexp.MustCompile(`"20[0-8]\d-\d\d-\d\dT[^"]*"`)

// freeze answers the lines of both stores.
func (h *house) freeze() (frost []string) {
	h.t.Helper()
	return append(h.freezeRedis(), h.freezePostgres()...)
}

func (h *house) freezeRedis() (frost []string) {
	h.t.Helper()
	keys, err := h.plain.Keys(h.ctx, "*").Result()
	h.must(err)
	slices.Sort(keys)
	say := func(kind string, words ...string) {
		for i, w := range words {
			words[i] = strconv.QuoteToASCII(w)
		}
		frost = append(frost, kind+" "+strings.Join(words, " "))
	}
	for _, key := range keys {
		kind, err := h.plain.Type(h.ctx, key).Result()
		h.must(err)
		switch kind {
		case "string":
			value, err := h.plain.Get(h.ctx, key).Result()
			h.must(err)
			say(kind, key, value)
		case "hash":
			fields, err := h.plain.HGetAll(h.ctx, key).Result()
			h.must(err)
			if key == "{s0}" {
				delete(fields, "run")
				delete(fields, "mark")
				fields["drain"] = "5000"
			}
			words := []string{key}
			for _, name := range slices.Sorted(maps.Keys(fields)) {
				words = append(words, name, fields[name])
			}
			say(kind, words...)
		case "zset":
			members, err := h.plain.ZRangeWithScores(h.ctx, key, 0, -1).Result()
			h.must(err)
			words := []string{key}
			for _, m := range members {
				words = append(words, strconv.FormatInt(int64(m.Score), 10), m.Member.(string))
			}
			say(kind, words...)
		case "stream":
			entries, err := h.plain.XRange(h.ctx, key, "-", "+").Result()
			h.must(err)
			for i, e := range entries {
				id := e.ID
				if strings.HasSuffix(key, ":dead") {
					id = fmt.Sprintf("%d-1", i+1)
				}
				words := []string{key, id}
				for _, name := range slices.Sorted(maps.Keys(e.Values)) {
					words = append(words, name, e.Values[name].(string))
				}
				say(kind, words...)
			}
		default:
			h.t.Fatalf("%s is a %s", key, kind)
		}
		if ms, err := h.plain.PExpireTime(h.ctx, key).Result(); err != nil || ms > 0 {
			h.must(err)
			say("expires", key, strconv.FormatInt(ms.Milliseconds(), 10))
		}
	}
	return frost
}

func (h *house) freezePostgres() (frost []string) {
	h.t.Helper()
	c := h.postgres()
	defer c.Close(h.ctx)
	frost = append(frost, column(h, c, `
		select 'sequence ' || c.relname || ' ' || coalesce(pg_sequence_last_value(c.oid), 0)
		from pg_class c
		where c.relkind = 'S'
			and c.relname not like 'goose%'
		order by c.relname`)...)
	for _, table := range column(h, c, tablesInOrder) {
		rows := column(h, c, `select row_to_json(t)::text from `+table+` t`)
		for i := range rows {
			rows[i] = "row " + table + " " + whenWritten.ReplaceAllString(rows[i], `"`+writtenDown+`"`)
		}
		slices.Sort(rows)
		frost = append(frost, rows...)
	}
	return frost
}

// tablesInOrder are those with a name: receipts of all eras are in one. Which eras there
// are is no part of the story; the releases before had none.
const tablesInOrder = `
	select c.relname
	from pg_class c
	where c.relkind in ('r', 'p')
		and not c.relispartition
		and c.relnamespace = 'public'::regnamespace
		and c.relname not like 'goose%'
		and c.relname <> 'eras'
	order by c.relname`

func (h *house) postgres() *pgx.Conn {
	h.t.Helper()
	c, err := pgx.Connect(h.ctx, h.pg)
	h.must(err)
	_, err = c.Exec(h.ctx, `set time zone 'UTC'`)
	h.must(err)
	return c
}

func column(h *house, c *pgx.Conn, query string, args ...any) []string {
	h.t.Helper()
	rows, err := c.Query(h.ctx, query, args...)
	h.must(err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	h.must(err)
	return all
}

// thaw puts both stores back as the lines say. A column that a row lacks is newer, and
// has what a migration would give it: its default.
func (h *house) thaw(frost []string) {
	h.t.Helper()
	h.thawRedis(frost)
	c := h.postgres()
	defer c.Close(h.ctx)
	exec := func(statement string, args ...any) {
		h.t.Helper()
		if _, err := c.Exec(h.ctx, statement, args...); err != nil {
			h.t.Fatalf("%s: %v", statement, err)
		}
	}
	exec(`truncate ` + strings.Join(column(h, c, tablesInOrder), ", "))
	exec(`begin`)
	exec(`set local session_replication_role = replica`) // rows come in the order of their tables' names
	for _, line := range frost {
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "row":
			table, row, _ := strings.Cut(rest, " ")
			columns := strings.Join(column(h, c, `
				select quote_ident(a.attname)
				from pg_attribute a
				join json_object_keys($2::json) as key (name) on key.name = a.attname
				where a.attrelid = $1::regclass
					and a.attnum > 0
					and a.attgenerated = ''`, table, row), ", ")
			exec(`insert into `+table+` (`+columns+`) overriding system value select `+columns+` from json_populate_record(null::`+table+`, $1::json)`, row)
		case "sequence":
			name, last, _ := strings.Cut(rest, " ")
			if last != "0" {
				exec(`select setval($1::regclass, $2::text::bigint)`, name, last)
			}
		}
	}
	exec(`commit`)
}

// thawRedis puts Redis back as those lines say that are about it.
func (h *house) thawRedis(frost []string) {
	h.t.Helper()
	h.must(h.plain.FlushDB(h.ctx).Err())
	for _, line := range frost {
		if kind, rest, _ := strings.Cut(line, " "); slices.Contains([]string{"string", "hash", "zset", "stream", "expires"}, kind) {
			h.thawKey(kind, unquote(rest))
		}
	}
}

func (h *house) thawKey(kind string, words []string) {
	h.t.Helper()
	values := make([]any, len(words))
	for i, w := range words {
		values[i] = w
	}
	key := words[0]
	switch kind {
	case "string":
		h.must(h.plain.Set(h.ctx, key, words[1], 0).Err())
	case "hash":
		h.must(h.plain.HSet(h.ctx, key, values[1:]...).Err())
	case "zset":
		h.must(h.plain.Do(h.ctx, append([]any{"zadd"}, values...)...).Err())
	case "stream":
		h.must(h.plain.XAdd(h.ctx, &redis.XAddArgs{Stream: key, ID: words[1], Values: values[2:]}).Err())
	case "expires":
		h.must(h.plain.Do(h.ctx, "pexpireat", key, words[1]).Err())
	}
}

// unquote answers the words of a line.
func unquote(line string) (words []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return append(words, line)
		}
		word, _ := strconv.Unquote(quoted) // it is quoted
		words, line = append(words, word), line[len(quoted):]
	}
	return words
}
