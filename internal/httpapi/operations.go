package httpapi

import (
	"context"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
	"sluice/internal/sale"
	"sluice/internal/survey"
)

const operationsPath = "/v1/operations"

// operationsBody is how it all is, as JSON. What could not be asked is left out.
type operationsBody struct {
	Version     string          `json:"version"` // of this process
	At          time.Time       `json:"at"`      // when it was looked at, by this process' clock
	Redis       *redisBody      `json:"redis,omitempty"`
	Partitions  []partitionBody `json:"partitions,omitempty"`   // by number; Redis knows
	DeadLetters *int64          `json:"dead_letters,omitempty"` // in all partitions; the same
	Postgres    *postgresBody   `json:"postgres,omitempty"`
	Sales       *tradeBody      `json:"sales,omitempty"` // Postgres knows
}

// redisBody is what Redis says of itself. What it does not tell is left out.
type redisBody struct {
	Mode       string `json:"mode"`
	Masters    int    `json:"masters"` // that have slots
	Reached    int    `json:"reached"` // of those, that answered
	Slots      int64  `json:"slots"`   // that are served
	Memory     *int64 `json:"memory,omitempty"`
	MemoryMax  *int64 `json:"memory_max,omitempty"`
	NoEviction *bool  `json:"noeviction,omitempty"`
	AOF        *bool  `json:"aof,omitempty"`
	AOFOK      *bool  `json:"aof_ok,omitempty"`
	RDBOK      *bool  `json:"rdb_ok,omitempty"`
	Replicas   *int64 `json:"replicas,omitempty"`
	Evicted    *int64 `json:"evicted,omitempty"`
	Clients    *int64 `json:"clients,omitempty"`
}

type postgresBody struct {
	Size           int64 `json:"size"` // bytes on disk
	Connections    int64 `json:"connections"`
	MaxConnections int64 `json:"max_connections"`
}

// partitionBody is how one partition is; nothing but its number when its server has not
// answered.
type partitionBody struct {
	Partition int `json:"partition"`
	*conditionBody
}

type conditionBody struct {
	Owner       string `json:"owner,omitempty"` // nobody when absent
	Depth       int64  `json:"depth"`           // requests admitted and not applied
	OldestMS    int64  `json:"oldest_ms"`       // age of the oldest of them; 0: there is none
	Generation  int64  `json:"generation"`      // 0: Redis has no data of it
	Loading     bool   `json:"loading"`
	DeadLetters int64  `json:"dead_letters"`
}

// tradeBody is how the sales go.
type tradeBody struct {
	Open      int64     `json:"open"`
	Suspended int64     `json:"suspended"`
	Busiest   []bargain `json:"busiest"`
}

// bargain is one of the busiest open sales, as an operator sees it: with its stock,
// whatever buyers are shown.
type bargain struct {
	Sale      int64      `json:"sale"`
	Kind      sale.Kind  `json:"kind"`
	State     sale.Shown `json:"state"`
	Seller    int64      `json:"seller"`
	Title     string     `json:"title"`
	Partition int        `json:"partition"`
	Price     int64      `json:"price"` // points per unit
	Stock     *stockBody `json:"stock"`
	ClosesAt  time.Time  `json:"closes_at"`
}

// showOperations is GET /v1/operations.
func (a *API) showOperations(_ context.Context, c *fiber.Ctx, _ accounts.Who) error {
	seen, at := a.glances.Look()
	body := operationsBody{Version: a.version, At: inMillis(at)}
	body.redis(seen)
	body.postgres(seen)
	return c.JSON(&body)
}

func (b *operationsBody) redis(seen *survey.Picture) {
	if seen.Redis == nil {
		return
	}
	server := seen.Redis.Server
	b.Redis = &redisBody{
		Mode: string(seen.Redis.Mode), Masters: seen.Redis.Masters, Reached: seen.Redis.Reached, Slots: seen.Redis.Slots,
		Memory: knownNumber(server.Memory), MemoryMax: knownNumber(server.MemoryMax), NoEviction: knownFlag(server.NoEviction),
		AOF: knownFlag(server.AOF), AOFOK: knownFlag(server.AOFOK), RDBOK: knownFlag(server.RDBOK),
		Replicas: knownNumber(server.Replicas), Evicted: knownNumber(server.Evicted), Clients: knownNumber(server.Clients),
	}
	var letters int64
	for p, found := range seen.Redis.Partitions {
		one := partitionBody{Partition: p}
		if found.Known {
			one.conditionBody = &conditionBody{
				Owner: found.Owner, Depth: found.Depth, OldestMS: found.Oldest.Milliseconds(),
				Generation: found.Generation, Loading: found.Loading, DeadLetters: found.Dead,
			}
		}
		b.Partitions = append(b.Partitions, one)
		letters += found.Dead
	}
	b.DeadLetters = &letters
}

func (b *operationsBody) postgres(seen *survey.Picture) {
	record := seen.Postgres
	if record == nil {
		return
	}
	b.Postgres = &postgresBody{record.Size, record.Connections, record.MaxConnections}
	b.Sales = &tradeBody{Open: record.Open, Suspended: record.Suspended, Busiest: make([]bargain, len(record.Sales))}
	for i, s := range record.Sales {
		b.Sales.Busiest[i] = bargain{
			Sale: s.ID, Kind: s.Kind, State: s.Shown(record.At), Seller: s.Seller, Title: s.Title, Partition: s.Partition,
			Price: s.PriceAt(record.At), Stock: stockOf(s), ClosesAt: s.ClosesAt.Time(),
		}
	}
}

// knownNumber is a number, if the server has told it.
func knownNumber(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

// knownFlag is the same of what is or is not.
func knownFlag(n int64) *bool {
	if n < 0 {
		return nil
	}
	return new(n == 1)
}

const seenReceiptsPath = operationsPath + "/receipts/"

// whoseBody is a receipt, and whose it is.
type whoseBody struct {
	Receipt receiptBody  `json:"receipt"`
	Account *profileBody `json:"account,omitempty"` // none of an account that is deleted
}

// showWhose is GET /v1/operations/receipts/{id}: for support. Somebody's e-mail is shown
// to somebody else, so the log says that an admin has looked, and at whom. The requests of
// the scheduler are nobody's, and as good as unknown here.
func (a *API) showWhose(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := receiptID(c)
	if err != nil {
		return err
	}
	standing, err := a.receipts.Show(ctx, id)
	if err != nil {
		return err
	}
	if standing.Buyer == 0 {
		return sale.ErrUnknown
	}
	var body whoseBody
	switch profile, err := a.accounts.Profile(ctx, standing.Buyer); {
	case err == nil:
		body.Account = new(profileOf(profile))
	case !errors.Is(err, sale.ErrUnknown):
		return err
	}
	a.log.Info().Str("request_id", requestID(c)).Int64("admin", who.Account).Int64("account", standing.Buyer).Stringer("receipt", id).Msg("an admin looked at whose receipt this is")
	poll := time.Duration(0)
	body.Receipt, poll = a.invited(standing)
	body.Receipt.Buyer = standing.Buyer
	if poll > 0 {
		c.Set(fiber.HeaderRetryAfter, wholeSeconds(poll))
	}
	return c.JSON(&body)
}
