package settlement

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// spending begins to watch what CPU time the consumer (this process), Redis and the
// sessions of Postgres use; what it answers tells it, each time since the beginning.
func (h *house) spending() func() map[string]time.Duration {
	h.t.Helper()
	began := h.spent()
	return func() map[string]time.Duration {
		h.t.Helper()
		spent := h.spent()
		for who := range spent {
			spent[who] -= began[who]
		}
		return spent
	}
}

func (h *house) spent() map[string]time.Duration {
	h.t.Helper()
	var own syscall.Rusage
	h.must(syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	info, err := h.plain.Info(h.ctx, "cpu").Result()
	h.must(err)
	var redis float64
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			seconds, err := strconv.ParseFloat(value, 64)
			h.must(err)
			redis += seconds
		}
	}
	all := map[string]time.Duration{
		"consumer": time.Duration(own.Utime.Nano() + own.Stime.Nano()),
		"redis":    time.Duration(redis * float64(time.Second)),
		"postgres": h.spentBySessions(),
	}
	if h.pooler != nil {
		all["pooler"] = h.spentBy(h.pooler.Process())
	}
	return all
}

// spentBySessions asks the kernel about every process that Postgres has at this moment:
// what ended meanwhile, such as a run of its cleaner, is missing.
func (h *house) spentBySessions() (all time.Duration) {
	h.t.Helper()
	c, err := pgx.Connect(h.ctx, h.pg)
	h.must(err)
	defer c.Close(h.ctx)
	rows, err := c.Query(h.ctx, `select pid from pg_stat_activity where pid <> pg_backend_pid()`)
	h.must(err)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	h.must(err)
	for _, pid := range pids {
		all += h.spentBy(pid)
	}
	return all
}

// spentBy asks the kernel about one process; one that has ended has spent nothing.
func (h *house) spentBy(pid int) (all time.Duration) {
	h.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	const ticksPerSecond = 100 // of Linux, for programs
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, field := range fields[11:13] { // user and system time
		ticks, err := strconv.ParseInt(field, 10, 64)
		h.must(err)
		all += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	return all
}
