package settlement

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// BenchmarkSettleThroughPooler is BenchmarkSettle, all of whose bids win, straight to
// Postgres and through PgBouncer, in each mode that the driver has for a pooler. What
// counts is CPU time for a bid: of the consumer, of Postgres' sessions, of the pooler.
func BenchmarkSettleThroughPooler(b *testing.B) {
	run := func(name string, pooled bool, mode pgx.QueryExecMode) {
		b.Run(name, func(b *testing.B) {
			h := &house{t: b, ctx: b.Context(), redis: embeddedtest.Redis(b), pg: embeddedtest.Postgres(b)}
			if pooled {
				h.pooler = embeddedtest.Pooler(b, h.pg, 4)
			}
			furnished(h, func(o *ledger.Options) {
				o.Tune = func(c *pgxpool.Config) {
					c.ConnConfig.DefaultQueryExecMode = mode
					c.AfterConnect = func(_ context.Context, conn *pgx.Conn) error { // what is not described is told by its Go type
						conn.TypeMap().RegisterDefaultPgType([16]byte{}, "uuid")
						conn.TypeMap().RegisterDefaultPgType([][16]byte{}, "_uuid")
						return nil
					}
				}
			}).settleBacklog(b, sale.MaxStock)
		})
	}
	run("straight", false, pgx.QueryExecModeCacheStatement)
	run("cache-describe", true, pgx.QueryExecModeCacheDescribe)
	run("exec", true, pgx.QueryExecModeExec)
	run("simple", true, pgx.QueryExecModeSimpleProtocol)
	run("describe-exec", true, pgx.QueryExecModeDescribeExec)
}
