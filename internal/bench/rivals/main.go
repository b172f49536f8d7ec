// Command rivals is what Sluice is measured against, side by side on the same
// servers: `sluice bench --rivals PATH` starts it. It is a module of its own, so that
// the libraries of the rivals stay out of the product.
//
// Limits store nothing, and show what the HTTP server alone could do:
//
//	hello   GET /hello, and an answer like that to a poll which nobody looked up
//	post    the POST of a bid: token and body are read, it is answered, and that is all
//
// Baselines sell in the POST, as most shops do, and answer when it is committed (201, or
// 409 when the stock or the buyer's points do not reach):
//
//	nolock      read the stock, check, write: it oversells
//	optimistic  a version column, and again when it has changed
//	rowlock     SELECT … FOR UPDATE
//	redlock     a lock in Redis around the rows in Postgres
//	lua         stock in Redis, taken by a script; then the rows in Postgres
//
// Carriers answer 202 and Location at once, and workers in the same process settle:
//
//	asynq       lists in Redis
//	river       tables in Postgres
//	watermill   a stream in Redis
//
// Baselines and carriers write the books that `rivals setup` makes (schema.sql): receipt, ledger entry,
// both wallets and the sale's counter in one transaction. `rivals check` says whether
// the books are right.
//
// `rivals draw` draws what `sluice bench` has measured.
//
// # Contenders
//
// Each is one process that listens on loopback, says "listening on 127.0.0.1:PORT" on
// standard output when it is ready, and ends on SIGTERM or SIGINT. All understand the
// same request, so that one generator drives them all:
//
//	POST /v1/sales/1/bids
//	Authorization: Bearer …       an access token of Sluice
//	Idempotency-Key: …            the receipt's ID is made of it
//	{"quantity":1,"price":10}
//
// Each is written as somebody would who knows his library and wants it fast. What was
// tuned, and why, stands where it is done.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Hello hello `cmd:"" help:"Limit: a Fiber server that says hello."`
	Post  post  `cmd:"" help:"Limit: the POST of a bid, read and answered, stored nowhere."`

	Nolock     nolock     `cmd:"" help:"Baseline: read the stock, check, write. Oversells."`
	Optimistic optimistic `cmd:"" help:"Baseline: a version column, and again when it has changed."`
	Rowlock    rowlock    `cmd:"" help:"Baseline: SELECT … FOR UPDATE."`
	Redlock    redlock    `cmd:"" help:"Baseline: a lock in Redis around the rows in Postgres."`
	Lua        lua        `cmd:"" help:"Baseline: stock in Redis, taken by a script; then the rows in Postgres."`

	Asynq     asynqs     `cmd:"" help:"Carrier: asynq, lists in Redis."`
	River     rivers     `cmd:"" help:"Carrier: River, tables in Postgres."`
	Watermill watermills `cmd:"" help:"Carrier: watermill, a stream in Redis."`

	Setup setup `cmd:"" help:"Make the books that baselines and carriers write, with one sale; what was there goes."`
	Check check `cmd:"" help:"Say as JSON what the books hold and whether they are right."`
	Draw  draws `cmd:"" help:"Draw what sluice bench has measured."`
}

func main() {
	var all commands
	command := kong.Parse(&all, kong.Name("rivals"), kong.Description("What Sluice is measured against, each a process to be measured from outside."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	command.BindTo(ctx, (*context.Context)(nil))
	command.FatalIfErrorf(command.Run())
}
