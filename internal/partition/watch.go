package partition

import (
	"context"

	"github.com/google/uuid"
)

// Watch calls changed with the receipts of every batch applied to partition p,
// until ctx ends or the connection breaks. ready is called once messages flow:
// whoever waits for a receipt registers first and reads second. Messages may be
// lost; the receipt itself is the truth.
func (s *Store) Watch(ctx context.Context, p int, ready func(), changed func([]uuid.UUID)) error {
	sub := s.readers.Subscribe(ctx, channel(p))
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		return err
	}
	ready()
	for {
		message, err := sub.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		changed(idsOf(message.Payload))
	}
}
