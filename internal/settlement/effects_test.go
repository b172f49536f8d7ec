package settlement

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// effect is one thing that a process does to a server on the way of a request, and
// where in the story of a deployment it is broken. A script, or a single command, is
// known by its name; a statement by a piece of it that no other has.
type effect struct {
	name  string
	sql   string
	story []string

	times  int  // how many of them, one after the other; 0: the first
	ahead  int  // the same in the story "ahead", whose owner has several batches in hand; 0: it is not broken there
	along  bool // it travels together with the one before: to stall before it is to stall before that
	shared bool // it travels together with those of others, who must not stall
}

// many is how many of them are broken in a story, one after the other.
func (e effect) many(story string) int {
	if story == "ahead" {
		return e.ahead
	}
	return max(e.times, 1)
}

// effects is every one there is. TestEveryEffectHasItsCases fails when one is met
// that is not here, or one is here that is never met.
var effects = []effect{
	// Somebody asks.
	{name: "admit", story: in("settles"), shared: true},

	// An owner comes.
	{name: "raise the epoch", sql: "set epoch = epoch + 1", story: in("settles")},
	{name: "read the watermark", sql: "select epoch, generation, applied_ms, applied_no, seq from partitions", story: in("settles", "older", "empty")},
	{name: "lead", story: in("settles", "older", "empty")},
	{name: "read the log", sql: "from batches where partition = $1 and (last_ms, last_no) > ($2, $3)", story: in("older")},
	{name: "raise the generation", sql: "set generation = generation + 1", story: in("empty")},
	{name: "read rejections", sql: "select last_ms, last_no, entries, outcomes from batches", story: in("empty")},
	{name: "trust", story: in("settles", "older", "empty")},
	{name: "restore", story: in("empty")},
	{name: "rebuild", story: in("empty")},

	// It works.
	{name: "xread", story: in("settles", "ahead"), ahead: 3},
	{name: "view", story: in("settles", "older under its owner", "ahead"), ahead: 4},
	{name: "read the eras", sql: "from eras where dropped_at is null", story: in("settles")},
	{name: "begin", sql: "begin", story: in("settles", "bids", "ahead"), ahead: 3},
	{name: "choose plans", sql: "set_config('enable_seqscan'", story: in("settles")},
	{name: "fence", sql: "set applied_ms = $4", story: in("settles"), along: true},
	{name: "lock receipts", sql: "where id = any($1::uuid[]) order by id for no key update", story: in("poison"), along: true},
	{name: "lock receipts and payments", sql: "and verb = 'pay')) order by id for no key update", story: in("settles"), along: true},
	{name: "lock wallets", sql: "from wallets where id = any($1::bigint[]) order by id for no key update", story: in("settles"), along: true},
	{name: "lock coupons", sql: "from coupons where id = any($1::uuid[] || array(", story: in("settles"), along: true},
	{name: "lock scheduled sales", sql: "from sales s where s.id = any($1::bigint[]) order by s.id for no key update", story: in("settles"), along: true},
	{name: "move receipts", sql: "update receipts", story: in("settles")},
	{name: "insert receipts", sql: "insert into receipts", story: in("settles"), along: true},
	{name: "insert entries", sql: "insert into entries", story: in("settles"), along: true},
	{name: "move wallets", sql: "update wallets", story: in("settles"), along: true},
	{name: "insert coupons", sql: "insert into coupons", story: in("settles"), along: true},
	{name: "use coupons", sql: "update coupons", story: in("settles"), along: true},
	{name: "count units", sql: "update sales set free", story: in("settles"), along: true},
	{name: "move orders", sql: "update orders", story: in("settles"), along: true},
	{name: "insert orders", sql: "insert into orders", story: in("settles"), along: true},
	{name: "insert notices", sql: "insert into notices", story: in("settles"), along: true},
	{name: "count rejections", sql: "insert into rejections", story: in("settles"), along: true},
	{name: "insert batches", sql: "insert into batches", story: in("settles"), along: true},
	{name: "commit", sql: "commit", story: in("settles", "poison", "ahead"), ahead: 3},
	{name: "rollback", sql: "rollback", story: in("poison")},
	{name: "ask whose epoch", sql: "select epoch from partitions", story: in("outrun")},
	{name: "apply", story: in("settles", "older", "older under its owner", "poison", "unreadable", "ahead"), ahead: 3},

	// Redis lacks a sale, or has it as it is no more.
	{name: "get", story: in("empty")},
	{name: "begin a snapshot", sql: "begin isolation level repeatable read read only", story: in("empty")},
	{name: "read a sale", sql: "from sales s where s.id = $1", story: in("empty")},
	{name: "read its watermark", sql: "select applied_ms, applied_no from partitions", story: in("empty")},
	{name: "read its units", sql: "select sale, buyer, sum(quantity)", story: in("empty")},
	{name: "read its places", sql: "from receipts where sale = any($1) and status in ('held', 'waiting')", story: in("empty")},
	{name: "commit a snapshot", story: in("empty")},
	{name: "load", story: in("empty")},
	{name: "forget", story: in("edited")},

	// An entry says too little of itself.
	{name: "receipt", story: in("unreadable"), shared: true, times: 2},

	// A consumer keeps its share.
	{name: "announce", story: in("a consumer"), times: 3},
	{name: "hold", story: in("a consumer")},
	{name: "keep", story: in("a consumer")},
	{name: "drop", story: in("a consumer")},
}

func in(stories ...string) []string { return stories }

// chatter is what drivers say on their own account.
var chatter = []string{"-- ping"}

// effectOf answers the name of what a statement does; one that is not in the list
// answers for itself.
func effectOf(statement string) string {
	name, longest := statement, 0
	for _, e := range effects {
		whole := e.sql == "begin" || e.sql == "commit" || e.sql == "rollback"
		if e.sql == "" || !strings.Contains(statement, e.sql) || whole && statement != e.sql || len(e.sql) <= longest {
			continue
		}
		name, longest = e.name, len(e.sql)
	}
	return name
}

// TestEveryEffectHasItsCases lives every story once with nothing broken, and holds
// what it met against the list.
func TestEveryEffectHasItsCases(t *testing.T) {
	h := newHouse(t)
	met := map[string]int{}
	listed := map[string]bool{}
	for _, e := range effects {
		if listed[e.name] {
			t.Errorf("%s is listed twice", e.name)
		}
		listed[e.name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(stories)) {
		c := h.cell(name, nil)
		for _, fault := range c.live() {
			t.Errorf("%s, nothing broken: %s", name, fault)
		}
		for effect, n := range c.p.met {
			met[effect] += n
			if !listed[effect] && !slices.Contains(chatter, effect) {
				t.Errorf("%s: %.100q is met %d times, and the list has no cases for it", name, effect, n)
			}
		}
		for _, e := range effects {
			if slices.Contains(e.story, name) && c.p.met[e.name] == 0 {
				t.Errorf("%s is to be broken in the story %q, where it is never met", e.name, name)
			}
		}
	}
	for _, e := range effects {
		if len(e.story) == 0 {
			t.Errorf("%s has no case", e.name)
		}
		for _, name := range e.story {
			if stories[name] == nil {
				t.Errorf("%s: there is no story %q", e.name, name)
			}
		}
		if met[e.name] == 0 {
			t.Errorf("%s is never met", e.name)
		}
	}
}
