package migrations

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// limits bound what one session may do to all others, as settings of the role
// in this database. They hold for every connection opened later, whoever opens
// it, so that no client can forget them.
var limits = []struct{ name, value string }{
	// A consumer that is stopped (SIGSTOP, a stalled machine) inside its
	// transaction holds the partition's row; the next owner waits for this long.
	{"idle_in_transaction_session_timeout", "2s"},
	{"lock_timeout", "2s"},
	{"statement_timeout", "10s"},
}

// limitsKey names the advisory lock around the settings of a database. Two
// sessions that alter the same role at once fail with "tuple concurrently
// updated".
const limitsKey = 0x51_1ce

// limitRole gives the connection's role its limits in the connection's
// database. It writes only what differs, so an up-to-date database stays untouched.
func limitRole(ctx context.Context, conn *pgx.Conn) error {
	missing, err := missingLimits(ctx, conn)
	if err != nil || len(missing) == 0 {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, limitsKey); err != nil {
			return fmt.Errorf("wait to set the role's limits: %w", err)
		}
		if missing, err = missingLimits(ctx, conn); err != nil {
			return err
		}
		for _, statement := range missing {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

// missingLimits answers the statements that would set the limits that are not
// set as they should be.
func missingLimits(ctx context.Context, conn *pgx.Conn) (statements []string, err error) {
	var database string
	var settings []string
	err = conn.QueryRow(ctx, `
		select d.datname, coalesce(s.setconfig, '{}')
		from pg_database d
		left join pg_db_role_setting s
		on s.setdatabase = d.oid
		and s.setrole = (select oid from pg_roles where rolname = current_user)
		where d.datname = current_database()`).Scan(&database, &settings)
	if err != nil {
		return nil, fmt.Errorf("read the role's limits: %w", err)
	}
	set := make(map[string]bool, len(settings))
	for _, setting := range settings {
		set[setting] = true
	}
	for _, limit := range limits {
		if set[limit.name+"="+limit.value] {
			continue
		}
		statements = append(statements, fmt.Sprintf("alter role current_user in database %s set %s = '%s'",
			pgx.Identifier{database}.Sanitize(), limit.name, limit.value))
	}
	return statements, nil
}
