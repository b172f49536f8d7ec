package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/embedded"
)

// TestPooler: everything in one process with Postgres behind PgBouncer, which has fewer
// sessions than the process has connections, is killed and paused while a crowd is there,
// and comes back. Everybody gets his answer, and the audit finds one story.
func TestPooler(t *testing.T) {
	folder := filepath.Join(filepath.Dir(binary), "pooled")
	servers, err := embedded.Start(t.Context(), embedded.Options{Dir: folder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { servers.Close() })
	options := embedded.PgBouncerOptions{Dir: folder + "-pooler", Postgres: servers.PostgresURL, PoolSize: 4}
	pooler, err := embedded.StartPgBouncer(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pooler.Kill() })
	options.Port = pooler.Port
	through, err := pooler.URL(servers.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"SLUICE_REDIS_URL": servers.RedisURL, "SLUICE_POSTGRES_URL": through, "SLUICE_POSTGRES_POOLER": "true", "SLUICE_PARTITIONS": "8",
	} {
		t.Setenv(name, value)
	}
	if status, out, stderr := sluice(t, "migrate"); status != 2 || !strings.Contains(stderr, "SLUICE_POSTGRES_DIRECT_URL is missing") {
		t.Fatalf("migrate through the pooler: status %d, %s%s", status, out, stderr)
	}
	if status, out, stderr := sluice(t, "audit"); status != 1 || !strings.Contains(stderr, "sluice migrate") {
		t.Fatalf("audit without a schema: status %d, %s%s", status, out, stderr)
	}
	if err := pooler.Do(t.Context(), "reconnect"); err != nil { // that session began without the limits of the role
		t.Fatal(err)
	}
	t.Setenv("SLUICE_POSTGRES_DIRECT_URL", servers.PostgresURL)
	if status, out, stderr := sluice(t, "migrate"); status != 0 {
		t.Fatalf("migrate: status %d, %s%s", status, out, stderr)
	}

	cmd := exec.Command(binary, "demo", "--exit", "--json", "--buyers", "300", "--spread", "6s")
	var stdout, said bytes.Buffer
	cmd.Stdout = &stdout
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer watchdog.Stop()
	trouble := []func(){
		func() {
			pooler.Kill()
			if pooler, err = embedded.StartPgBouncer(context.WithoutCancel(t.Context()), options); err != nil {
				t.Fatal(err)
			}
		},
		func() {
			for _, command := range []string{"pause", "resume", "reconnect"} {
				if err := pooler.Do(t.Context(), command); err != nil {
					t.Fatal(err)
				}
			}
		},
	}
	for buffer := make([]byte, 4096); len(trouble) > 0; {
		n, err := progress.Read(buffer)
		said.Write(buffer[:n])
		if err != nil {
			t.Fatalf("%v:\n%s", err, &said)
		}
		if strings.Count(said.String(), "accepted") > 2-len(trouble) { // one more line about the crowd
			trouble[0]()
			trouble = trouble[1:]
		}
	}
	if _, err := io.Copy(&said, progress); err != nil {
		t.Fatal(err)
	}
	var report struct {
		Oversold, Unfinished, Inversions int
		Accepted                         int
		Audit                            string
	}
	if status := exit(t, cmd.Wait()); status != 0 {
		t.Fatalf("status %d:\n%s", status, &said)
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil || report.Oversold+report.Unfinished+report.Inversions > 0 || report.Accepted == 0 || report.Audit != "ok" {
		t.Errorf("%+v, %v", report, err)
	}
	if status, out, stderr := sluice(t, "audit"); status != 0 {
		t.Errorf("audit: status %d, %s%s", status, out, stderr)
	}
}
