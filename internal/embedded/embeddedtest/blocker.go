package embeddedtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Blocker connects to the Postgres at a URL until the test ends, as somebody who may wait, and
// keep others waiting, for as long as he likes: what the role allows to last for seconds
// would let go of his locks while a test on a busy machine does something else.
func Blocker(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} {
		config.RuntimeParams[limit] = "0"
	}
	c, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.WithoutCancel(t.Context())) })
	return c
}
