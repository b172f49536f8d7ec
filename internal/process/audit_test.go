package process

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/internal/audit"
	"sluice/internal/embedded/embeddedtest"
)

// TestAuditOverHTTP: the report comes with 200 whatever it says, what cannot be
// audited is no report, and one audit runs at a time.
func TestAuditOverHTTP(t *testing.T) {
	redis, postgres := embeddedtest.RedisServer(t), embeddedtest.Postgres(t)
	p := open(t, config(t, redis.URL, postgres))
	server := httptest.NewServer(p.opsHandler(0, &loudness{}, &flight{}))
	defer server.Close()
	ask := func(when string, status int) (report audit.Report, wrong []string) {
		t.Helper()
		got, body := get(t, server.URL+"/audit")
		into := any(&report)
		if status != http.StatusOK {
			into = &wrong
		}
		if err := json.Unmarshal([]byte(body), into); err != nil || got != status {
			t.Fatalf("%s: %d %s, want %d; %v", when, got, body, status, err)
		}
		return report, wrong
	}

	buyers, err := p.Accounts.Create(t.Context(), "buyer", 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	if report, _ := ask("at rest", http.StatusOK); report.Verdict != audit.OK || report.Partitions != 16 || report.Entries != 1 {
		t.Errorf("at rest: %+v", report)
	}

	conn := embeddedtest.Blocker(t, postgres)
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`update wallets set balance = balance + 1 where id = $1`, buyers[0])
	if report, _ := ask("with a point too many", http.StatusOK); report.Verdict != audit.Broken || len(report.Broken) == 0 || report.Broken[0].Rule != audit.Wallets {
		t.Errorf("with a point too many: %+v", report)
	}
	exec(`update wallets set balance = balance - 1 where id = $1`, buyers[0])

	// The first one hangs at a lock until its asker hangs up.
	exec(`begin`)
	exec(`lock table wallets in access exclusive mode`)
	ctx, hangUp := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/audit", nil)
		if err == nil {
			_, err = http.DefaultClient.Do(req)
		}
		first <- err
	}()
	eventually(t, "the first audit waits for the lock", func() bool {
		var waiting bool
		if err := conn.QueryRow(t.Context(), `select exists (select from pg_locks where not granted and relation = 'wallets'::regclass)`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		return waiting
	})
	if _, wrong := ask("beside another one", http.StatusServiceUnavailable); len(wrong) != 1 || !strings.Contains(wrong[0], "under way") {
		t.Errorf("beside another one: %q", wrong)
	}
	hangUp()
	if err := <-first; err == nil {
		t.Error("the first one was answered")
	}
	exec(`rollback`)
	eventually(t, "an audit runs again", func() bool {
		status, _ := get(t, server.URL+"/audit")
		return status == http.StatusOK
	})

	redis.Kill()
	if _, wrong := ask("without Redis", http.StatusServiceUnavailable); len(wrong) != 1 || !strings.HasPrefix(wrong[0], "audit: ") {
		t.Errorf("without Redis: %q", wrong)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !met(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}
