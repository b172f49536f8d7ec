package ledger

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// plan is how Postgres went about a statement.
type plan struct {
	root map[string]any
	text string
}

// explain runs a statement, prepared as our driver does, and answers how. mode is
// plan_cache_mode: whether the planner knows the values. settings are chosen before,
// as the statement's own transaction has them.
func (b *books) explain(mode, query string, args []any, settings ...string) (p plan) {
	b.t.Helper()
	conn, err := b.pool.Acquire(b.ctx)
	b.must(err)
	defer conn.Release()
	literals := make([]string, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case int, int64:
			literals[i] = fmt.Sprint(v)
		case string:
			literals[i] = "'" + v + "'"
		case time.Time:
			literals[i] = "'" + v.Format(time.RFC3339Nano) + "'"
		case [16]byte:
			literals[i] = "'" + uuid.UUID(v).String() + "'"
		default:
			b.t.Fatalf("an argument of type %T", arg)
		}
	}
	execute := "execute q"
	if len(literals) > 0 {
		execute += "(" + strings.Join(literals, ", ") + ")"
	}
	tx, err := conn.Begin(b.ctx)
	b.must(err)
	for _, statement := range append(settings,
		"set local plan_cache_mode = "+mode,
		"prepare q as "+query,
	) {
		_, err := tx.Exec(b.ctx, statement)
		b.must(err)
	}
	b.must(tx.QueryRow(b.ctx, "explain (analyze, format json) "+execute, pgx.QueryExecModeSimpleProtocol).Scan(&p.text))
	_, err = tx.Exec(b.ctx, "deallocate q")
	b.must(err)
	b.must(tx.Rollback(b.ctx))
	var plans []map[string]any
	b.must(json.Unmarshal([]byte(p.text), &plans))
	p.root, _ = plans[0]["Plan"].(map[string]any)
	return p
}

// each visits every node.
func (p plan) each(visit func(node map[string]any)) {
	var walk func(map[string]any)
	walk = func(node map[string]any) {
		visit(node)
		children, _ := node["Plans"].([]any)
		for _, child := range children {
			walk(child.(map[string]any))
		}
	}
	walk(p.root)
}

// has says whether a node is of that type.
func (p plan) has(kind string) (found bool) {
	p.each(func(node map[string]any) { found = found || strings.HasSuffix(node["Node Type"].(string), kind) })
	return found
}

// reads is how many rows were read: what scans answered, and what they or a filter
// above threw away.
func (p plan) reads() (rows int64) {
	number := func(node map[string]any, name string) float64 {
		n, _ := node[name].(float64)
		return n
	}
	p.each(func(node map[string]any) {
		read := number(node, "Rows Removed by Filter") + number(node, "Rows Removed by Index Recheck")
		if node["Plans"] == nil {
			read += number(node, "Actual Rows")
		}
		rows += int64(read * number(node, "Actual Loops"))
	})
	return rows
}

// took is how long it all took, in ms.
func (p plan) took() float64 {
	ms, _ := p.root["Actual Total Time"].(float64)
	return ms
}

func (p plan) String() string {
	var lines []string
	p.each(func(node map[string]any) {
		lines = append(lines, fmt.Sprint(node["Node Type"], " ", node["Index Name"], " ", node["Index Cond"], " filter ", node["Filter"],
			" ", strconv.FormatFloat(node["Actual Total Time"].(float64), 'f', 3, 64), " ms"))
	})
	return strings.Join(lines, "\n")
}
