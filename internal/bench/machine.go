package bench

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/process"
)

// machine is what the servers can do alone, driven by their own tools: nothing that is
// built on them can be faster.
var machine = Scenario{
	Name:  "machine",
	Title: "The servers alone",
	What: "redis-benchmark, from 50 connections, one command by one and sixteen at a time: an entry of the size of ours added to a stream, and the " +
		"script that a flash sale would have (is there stock, take one, add an entry). And one connection to Postgres that inserts receipts of a primary " +
		"key and four columns, 500 in a statement (unnest) and a transaction.",
	Gives: []string{"XADD", "XADD, pipelined 16", "EVALSHA", "EVALSHA, pipelined 16", "rows inserted"},
	Run:   measureMachine,
}

// flashSale is the script of machine. KEYS: stock, stream. It answers 1, or 0 when all is gone.
const flashSale = `
if tonumber(redis.call("GET", KEYS[1]) or "0") < 1 then return 0 end
redis.call("DECR", KEYS[1])
redis.call("XADD", KEYS[2], "*", "r", ARGV[1])
return 1`

func measureMachine(ctx context.Context, r *Run) error {
	stage, err := r.Stage(ctx)
	if err != nil {
		return err
	}
	c, err := stage.Redis()
	if err != nil {
		return err
	}
	defer c.Close()
	sha, err := c.ScriptLoad(ctx, flashSale).Result()
	if err != nil {
		return err
	}
	entry := strings.Repeat("x", 60)
	for _, work := range []struct {
		name    string
		command []string
	}{
		{"XADD", []string{"XADD", "s", "*", "r", entry}},
		{"EVALSHA", []string{"EVALSHA", sha, "2", "stock", "s", entry}},
	} {
		for _, pipeline := range []int{1, 16} {
			n := r.Scale(400_000, 4_000)
			if err := c.Set(ctx, "stock", 2*n, 0).Err(); err != nil {
				return err
			}
			rate, err := stage.redisBenchmark(ctx, n, pipeline, work.command...)
			if err != nil {
				return err
			}
			name := work.name
			if pipeline > 1 {
				name += fmt.Sprintf(", pipelined %d", pipeline)
			}
			r.Figure(name, "/s", rate, Target{})
			if err := c.Del(ctx, "s").Err(); err != nil {
				return err
			}
		}
	}
	rate, err := stage.insert(ctx, r.Length(6))
	r.Figure("rows inserted", "/s", rate, Target{})
	return err
}

// insert inserts rows into Postgres, 500 at once, for so long, and answers how many a
// second there were.
func (s *Stage) insert(ctx context.Context, length time.Duration) (float64, error) {
	const at = 500
	conn, err := pgx.Connect(ctx, s.PostgresURL)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `
		create table alone (
			id uuid primary key, sale bigint not null, buyer bigint not null, quantity bigint not null, price bigint not null
		)`); err != nil {
		return 0, err
	}
	ids, buyers := make([]uuid.UUID, at), make([]int64, at)
	n, began := 0, time.Now()
	for n == 0 || time.Since(began) < length {
		for i := range ids {
			if ids[i], err = uuid.NewV7(); err != nil {
				return 0, err
			}
			buyers[i] = int64(n + i)
		}
		if _, err := conn.Exec(ctx, `
			insert into alone
			select id, 1, buyer, 1, 10
			from unnest($1::uuid[], $2::bigint[]) as new (id, buyer)
			on conflict do nothing`, ids, buyers); err != nil {
			return 0, err
		}
		n += at
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// redisBenchmark runs a command so many times from 50 connections, and answers how many
// a second there were.
func (s *Stage) redisBenchmark(ctx context.Context, n, pipeline int, command ...string) (float64, error) {
	u, err := url.Parse(s.RedisURL)
	if err != nil {
		return 0, err
	}
	args := []string{"-h", u.Hostname(), "-p", u.Port(), "-c", "50", "-n", strconv.Itoa(n), "-P", strconv.Itoa(pipeline), "--csv"}
	if password, ok := u.User.Password(); ok {
		args = append(args, "-a", password) // -u sends an empty user's name with it, which is refused
	}
	args = append(args, command...)
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, "redis-benchmark", args...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark: %w: %s", err, complaints.String())
	}
	// "test","rps",… and a line of the figures, each in quotes.
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Split(lines[len(lines)-1], `","`)
	if len(fields) < 2 {
		return 0, fmt.Errorf("redis-benchmark says %q", out)
	}
	rate, err := strconv.ParseFloat(strings.Trim(fields[1], `"`), 64)
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark says %q", out)
	}
	return rate, nil
}

// lookAtMachine describes where we are.
func (h *house) lookAtMachine(ctx context.Context) (Machine, error) {
	m := Machine{
		CPU: cpuName(), Cores: runtime.NumCPU(), Memory: memorySize(), Kernel: kernel(), Go: runtime.Version(),
		Revision: process.Version(), Date: time.Now().UTC().Format(time.DateOnly),
	}
	conn, err := pgx.Connect(ctx, h.postgres.PostgresURL)
	if err != nil {
		return m, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	m.Postgres = conn.PgConn().ParameterStatus("server_version")
	if out, err := exec.CommandContext(ctx, "redis-server", "--version").Output(); err == nil && h.RedisURL == "" {
		_, rest, _ := strings.Cut(string(out), "v=")
		m.Redis, _, _ = strings.Cut(rest, " ")
	}
	m.Redis = cmp.Or(m.Redis, "given")
	return m, nil
}
