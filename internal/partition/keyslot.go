package partition

import "strings"

// slots is how many a cluster has.
const slots = 16384

// keySlot is the slot of a key, or of a channel of its own slot: CRC-16 (XMODEM) of what
// stands between its first braces, or of all of it when nothing does. Source: the Redis
// Cluster specification.
func keySlot(key string) int {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if length := strings.IndexByte(key[open+1:], '}'); length > 0 {
			key = key[open+1 : open+1+length]
		}
	}
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % slots)
}
