package sessions

// Pool answers how many connections are in use and idle, and how often nobody got one
// in time or there was none to be had at once.
func (s *Store) Pool() (inUse, idle, timeouts, misses int64) {
	stats := s.redis.PoolStats()
	return int64(stats.TotalConns) - int64(stats.IdleConns), int64(stats.IdleConns), int64(stats.Timeouts), int64(stats.Misses)
}
