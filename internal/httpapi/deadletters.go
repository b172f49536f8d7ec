package httpapi

import (
	"context"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/deadletters"
	"sluice/internal/sale"
)

// letterBody is a dead letter as JSON. What is not known of it is left out.
type letterBody struct {
	Letter     string    `json:"letter"` // its partition and its ID there
	Partition  int       `json:"partition"`
	Receipt    uuid.UUID `json:"receipt,omitzero"`
	Sale       int64     `json:"sale,omitempty"`
	Buyer      int64     `json:"buyer,omitempty"` // account
	Verb       string    `json:"verb,omitempty"`
	Quantity   int64     `json:"quantity,omitempty"`   // units
	Price      int64     `json:"price,omitempty"`      // points per unit, of a bid
	RequestID  string    `json:"request_id,omitempty"` // of the request that asked
	Cause      string    `json:"cause"`
	Attempts   int       `json:"attempts"` // to settle it; 0: none, or not known any more
	AdmittedAt time.Time `json:"admitted_at,omitzero"`
	DiedAt     time.Time `json:"died_at"`

	Payload map[string]string `json:"payload,omitempty"` // of one alone: the fields of its entry, quoted where they are no text
}

func letterOf(l deadletters.Letter) letterBody {
	body := letterBody{
		Letter: l.Place().String(), Partition: l.Partition, Receipt: l.Receipt, Sale: l.Sale, Buyer: l.Buyer, Verb: l.Verb,
		Quantity: l.Quantity, Price: l.Price, RequestID: l.Trace, Cause: l.Cause, Attempts: l.Attempts, DiedAt: l.Died,
	}
	if l.Asked.UnixMilli() > 0 {
		body.AdmittedAt = l.Asked
	}
	return body
}

// lettersBody is a page of dead letters as JSON.
type lettersBody struct {
	Letters    []letterBody `json:"letters"`
	NextCursor string       `json:"next_cursor,omitempty"`
}

// listLetters is GET /v1/operations/dead-letters.
func (a *API) listLetters(ctx context.Context, c *fiber.Ctx, _ accounts.Who) error {
	page, err := readPage(c, listLetters, 0)
	if err != nil {
		return err
	}
	found, more, err := a.letters.Page(ctx, page.after.letter(), page.limit)
	if err != nil {
		return err
	}
	body := lettersBody{Letters: make([]letterBody, len(found))}
	for i, l := range found {
		body.Letters[i] = letterOf(l)
		body.NextCursor = page.next(more, positionOf(l.Place()))
	}
	return c.JSON(&body)
}

// positionOf is the place of a letter in a cursor: of its ID the time, the partition as
// what has it, and the number that tells those of one millisecond apart.
func positionOf(l deadletters.Place) (p position) {
	p.at, p.id = l.ID.At, int64(l.Partition)
	binary.BigEndian.PutUint64(p.receipt[8:], uint64(l.ID.No))
	return p
}

// letter is positionOf, backwards.
func (p position) letter() deadletters.Place {
	no := int64(binary.BigEndian.Uint64(p.receipt[8:]) & (1<<63 - 1))
	return deadletters.Place{Partition: int(min(p.id, sale.MaxPartitions)), ID: sale.EntryID{At: p.at, No: no}}
}

// parseLetter reads the :id of a path as letterOf writes it.
func parseLetter(word string) (deadletters.Place, error) {
	number, id, _ := strings.Cut(word, "-")
	p, err := strconv.ParseInt(number, 10, 32)
	if err != nil {
		return deadletters.Place{}, deadletters.ErrNone
	}
	entry, err := sale.ParseEntryID(id)
	place := deadletters.Place{Partition: int(p), ID: entry}
	if err != nil || p < 0 || place.String() != word {
		return deadletters.Place{}, deadletters.ErrNone
	}
	return place, nil
}

// showLetter is GET /v1/operations/dead-letters/{id}.
func (a *API) showLetter(ctx context.Context, c *fiber.Ctx, _ accounts.Who) error {
	place, err := parseLetter(c.Params("id"))
	if err != nil {
		return err
	}
	letter, err := a.letters.Show(ctx, place.Partition, place.ID.String())
	if err != nil {
		return err
	}
	body := letterOf(letter)
	body.Payload = make(map[string]string, len(letter.Payload))
	for name, value := range letter.Payload {
		body.Payload[inQuotes(name)] = inQuotes(value)
	}
	return c.JSON(&body)
}

// inQuotes is text between the quotes that Go would put it in: it may be anything.
func inQuotes(text string) string {
	quoted := strconv.QuoteToASCII(text)
	return quoted[1 : len(quoted)-1]
}

// replayLetter is POST /v1/operations/dead-letters/{id}/replay. It takes no key: the new
// receipt comes from the letter, so that replaying it twice asks once.
func (a *API) replayLetter(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	place, err := parseLetter(c.Params("id"))
	if err != nil {
		return err
	}
	if err := readNothing(c); err != nil {
		return err
	}
	receipt, err := a.letters.Replay(ctx, place.Partition, place.ID.String())
	if err != nil {
		return err
	}
	a.log.Info().Str("request_id", requestID(c)).Int64("admin", who.Account).Stringer("letter", place).Stringer("receipt", receipt).Msg("an admin replayed a dead letter")
	c.Location(seenReceiptsPath + receipt.String())
	return c.Status(fiber.StatusAccepted).JSON(struct {
		Receipt uuid.UUID `json:"receipt"`
	}{receipt})
}

// dropLetter is DELETE /v1/operations/dead-letters/{id}.
func (a *API) dropLetter(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	place, err := parseLetter(c.Params("id"))
	if err != nil {
		return err
	}
	if err := a.letters.Drop(ctx, place.Partition, place.ID.String()); err != nil {
		return err
	}
	a.log.Info().Str("request_id", requestID(c)).Int64("admin", who.Account).Stringer("letter", place).Msg("an admin dropped a dead letter")
	return nothing(c)
}
