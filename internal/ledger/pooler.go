package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Behind a pooler in transaction mode (PgBouncer) a connection leads to another
// session of the server with each transaction. So nothing may be left in a session for
// later: no prepared statement with a name, no setting but for the transaction
// (set_config with true), no advisory lock, no temporary table, nothing listened to.
// That holds for all of this package, with a pooler or not; only the driver has to be
// told. What the role allows (idle_in_transaction_session_timeout and the like) comes
// with every session, whoever opened it.

// behindPooler tells the driver.
//
// It remembers what a statement's parameters and columns are, not the statement: each
// is parsed and planned anew, unnamed, in the one round trip in which it runs. Of the
// modes that a pooler allows this one costs least (docs/scaling.md has the figures).
// A column that changes its type would have to have a new name, as it does anyway
// while two releases run side by side.
func behindPooler(config *pgxpool.Config, ended func()) {
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	config.ConnConfig.OnPgError = func(c *pgconn.PgConn, refused *pgconn.PgError) bool {
		if refused.Code == readOnly {
			c.CustomData()[readOnly] = true
		}
		return refused.Severity != "FATAL" && refused.Severity != "PANIC" // those end the connection
	}
	config.AfterRelease = func(c *pgx.Conn) bool {
		if c.PgConn().CustomData()[readOnly] == nil {
			return true
		}
		endReadOnly(c, ended)
		return false
	}
}

// readOnly is the SQLSTATE of a write to where nobody may.
const readOnly = "25006"

// endReadOnly ends the session that a connection leads to now, if it refuses to write.
// A session goes on with that when its server was read-only as it began, though a new
// one may write; and the pooler, which alone knows its sessions, would give it to
// somebody again and again, for up to its server_lifetime. That it gives this connection
// the session that it gave back last is likely and not certain: then whoever meets the
// next refusal tries again.
func endReadOnly(c *pgx.Conn, ended func()) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := c.Exec(ctx, `
		select pg_terminate_backend(pg_backend_pid())
		where current_setting('transaction_read_only') = 'on'`)
	// Whoever ends his own session gets no answer.
	if refused := (*pgconn.PgError)(nil); err != nil && (!errors.As(err, &refused) || refused.Code == "57P01") {
		ended()
	}
}
