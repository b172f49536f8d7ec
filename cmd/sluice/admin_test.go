package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/embedded"
)

// create runs `sluice admin create` with that on standard input.
func create(t *testing.T, stdin string, environment []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"admin", "create"}, args...)...)
	var out, err bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &err
	cmd.Env = append(cmd.Environ(), environment...)
	return exit(t, cmd.Run()), out.String(), err.String()
}

func TestAdminCreate(t *testing.T) {
	servers, err := embedded.Start(t.Context(), embedded.Options{Dir: filepath.Join(filepath.Dir(binary), "given")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { servers.Close() })
	given := []string{"SLUICE_REDIS_URL=" + servers.RedisURL, "SLUICE_POSTGRES_URL=" + servers.PostgresURL}
	const secret = "correct horse"
	// Somebody else's database is not migrated behind his back.
	status, stdout, stderr := create(t, secret, given, "--email", "root@example.com")
	if status != 1 || !strings.Contains(stderr, "sluice migrate") {
		t.Errorf("before the schema is there: status %d, %s%s", status, stdout, stderr)
	}
	if out, err := exec.Command(binary, "migrate", "--postgres-url", servers.PostgresURL).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, c := range []struct {
		name, stdin string
		environment []string
		args        []string
		status      int
		want        string
	}{
		{"from standard input", secret + "\nrest\n", nil, []string{"--email", "Root@Example.com"}, 0, "account 1 is an administrator\n"},
		{"no line end", secret, nil, []string{"--email=second@example.com"}, 0, "is an administrator\n"},
		{"from the environment", "", []string{"SLUICE_ADMIN_PASSWORD=" + secret}, []string{"--email=third@example.com"}, 0, "is an administrator\n"},
		{"a second time", secret, nil, []string{"--email", "root@example.com"}, 1, "another account has this e-mail"},
		{"no password", "", nil, []string{"--email=fourth@example.com"}, 1, "SLUICE_ADMIN_PASSWORD"},
		{"a short one", "short\n", nil, []string{"--email=fourth@example.com"}, 1, "8 to 72 bytes"},
		{"no e-mail", secret, nil, []string{"--email=fourth"}, 1, "an e-mail looks like"},
		{"no flag", secret, nil, nil, 2, "--email"},
		{"a password as a flag", "", nil, []string{"--email=fourth@example.com", "--password=" + secret}, 2, "--password"},
	} {
		status, stdout, stderr := create(t, c.stdin, append(given, c.environment...), c.args...)
		if status != c.status || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: status %d, %s%s", c.name, status, stdout, stderr)
		}
		if c.args != nil && !strings.Contains(c.args[len(c.args)-1], secret) && strings.Contains(stdout+stderr, secret) {
			t.Errorf("%s: the password is shown: %s%s", c.name, stdout, stderr)
		}
	}

	conn, err := pgx.Connect(t.Context(), servers.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var admins, wallets int
	if err := conn.QueryRow(t.Context(), `
		select
			count(*) filter (where role = 'admin' and password like '$argon2id$v=19$m=19456,t=2,p=1$%'),
			count(w.id)
		from accounts a
		left join wallets w on w.id = a.id`).Scan(&admins, &wallets); err != nil || admins != 3 || wallets != 3 {
		t.Errorf("%d admins, %d wallets, %v", admins, wallets, err)
	}
}

// TestAdminOfALaptop: on private servers it is the first command that may be run,
// and what it made is there for the next.
func TestAdminOfALaptop(t *testing.T) {
	for _, want := range []int{0, 1} {
		status, stdout, stderr := create(t, "correct horse\n", nil, "--email", "laptop@example.com")
		if status != want {
			t.Errorf("status %d: %s%s", status, stdout, stderr)
		}
	}
}
