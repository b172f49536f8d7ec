package partition

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/sale"
)

// readBlock is how long one read waits for entries: an idle partition costs a command
// in so long.
const readBlock = 5 * time.Second

// Read answers up to count entries of partition p after the watermark, waiting up
// to readBlock for the first, or until ctx ends. None is no error. It takes nothing
// away: whoever reads behind the same watermark gets the same entries.
//
// An entry that cannot be read is answered without a Verb, so that it is settled
// as rejected instead of stopping the partition.
func (s *Store) Read(ctx context.Context, p int, after sale.EntryID, count int) ([]sale.Entry, error) {
	streams, err := s.blocking.read(ctx, p, readArgs(p, after, count, readBlock))
	if _, ask := redis.IsAskError(err); ask {
		return s.readOnTheWay(ctx, p, after, count)
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return entriesOf(p, streams, err)
}

// readOnTheWay is Read of a stream whose slot is on its way to another server. There it
// cannot be waited at; until all of the slot is there, nothing can be settled anyway.
func (s *Store) readOnTheWay(ctx context.Context, p int, after sale.EntryID, count int) ([]sale.Entry, error) {
	entries, err := s.Peek(ctx, p, after, count)
	if err != nil || len(entries) > 0 {
		return entries, err
	}
	select {
	case <-time.After(250 * time.Millisecond):
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Peek is Read without waiting.
func (s *Store) Peek(ctx context.Context, p int, after sale.EntryID, count int) ([]sale.Entry, error) {
	cmd := redis.NewXStreamSliceCmd(ctx, "xread", "count", count, "streams", streamKey(p), after.String())
	err := s.owners.do(ctx, streamKey(p), cmd)
	return entriesOf(p, cmd.Val(), err)
}

func readArgs(p int, after sale.EntryID, count int, block time.Duration) *redis.XReadArgs {
	return &redis.XReadArgs{Streams: []string{streamKey(p), after.String()}, Count: int64(count), Block: block}
}

func entriesOf(p int, streams []redis.XStream, err error) ([]sale.Entry, error) {
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, fault(fmt.Sprintf("read partition %d", p), err)
	case len(streams) != 1:
		return nil, fmt.Errorf("read partition %d: %d streams", p, len(streams))
	}
	entries := make([]sale.Entry, len(streams[0].Messages))
	for i, m := range streams[0].Messages {
		if entries[i], err = parseEntry(m.ID, m.Values); err != nil {
			return nil, fmt.Errorf("read partition %d: %w", p, err)
		}
	}
	return entries, nil
}

// parseEntry reads a stream entry. Only an ID that Redis itself cannot have
// written is an error.
func parseEntry(id string, values map[string]any) (e sale.Entry, err error) {
	if e.ID, err = sale.ParseEntryID(id); err != nil {
		return e, err
	}
	field := func(name string) string {
		s, _ := values[name].(string)
		return s
	}
	form := []byte(field("e"))
	seq, seqErr := strconv.ParseInt(field("q"), 10, 64)
	generation, generationErr := strconv.ParseInt(field("g"), 10, 64)
	request, err := sale.DecodeRequest(form)
	if err := errors.Join(seqErr, generationErr, err); err != nil {
		e.Receipt, _ = sale.ReceiptIn(form)
		if seqErr == nil {
			e.Seq = seq
		}
		return e, nil
	}
	e.Seq, e.Generation, e.Request = seq, generation, request
	return e, nil
}
