package partition

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Leader answers which scheduler leads, "" when none does at the moment.
func (s *Store) Leader(ctx context.Context) (string, error) {
	cmd := redis.NewStringCmd(ctx, "get", leadKey)
	if err := s.leases.do(ctx, leadKey, cmd); err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("ask who leads the schedulers: %w", err)
	}
	return cmd.Val(), nil
}
