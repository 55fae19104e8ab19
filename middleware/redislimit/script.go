package redislimit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/inlet-go/inlet/middleware"
)

// The script keeps, for each bucket of a key, the time at which it is full again, in µs, and its
// rate, from which the missing tokens follow: a bucket may miss more than it holds. A key that is
// not there is full.
//
// It grants what is asked for if every bucket has the tokens that are needed, and then takes them,
// and of those that are wanted as many as there are. Otherwise it takes nothing.
//
// ARGV: the time in µs, or 0; then rate, burst, needed, take, want and back of each bucket, with a
// rate of 0 for one that is not drawn from. The answer: 1 or 0, then for each bucket how many
// tokens were granted and how many are left.
const script = `
local now = tonumber(ARGV[1])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local state = redis.call('HMGET', KEYS[1], 'r', 'rr', 'e', 'er', 'b', 'br', 'w')
local names = {'r', 'e', 'b'}
local missing, granted, left = {}, {0, 0, 0}, {0, 0, 0}
local ok, full, set = 1, now, {}
local back = math.max(0, (tonumber(state[7]) or 0) - now)
for u = 1, 3 do
  local rate, burst, needed = tonumber(ARGV[u*6-4]), tonumber(ARGV[u*6-3]), tonumber(ARGV[u*6-2])
  local at, was = tonumber(state[u*2-1]), tonumber(state[u*2])
  missing[u] = 0
  if at and back > 0 then
    at = at - back
    set[#set+1] = names[u]
    set[#set+1] = string.format('%.0f', at)
  end
  if at and at > now then
    missing[u] = (at - now) / 1000000 * was
    if (rate == 0 or back > 0) and at > full then full = at end
  end
  if rate > 0 then
    left[u] = burst - missing[u]
    if left[u] + 0.000001 < needed then ok = 0 end
  end
end
if ok == 1 then
  for u = 1, 3 do
    local rate = tonumber(ARGV[u*6-4])
    if rate > 0 then
      local burst, take = tonumber(ARGV[u*6-3]), tonumber(ARGV[u*6-1])
      local want, returned = tonumber(ARGV[u*6]), tonumber(ARGV[u*6+1])
      missing[u] = math.max(0, missing[u] - returned)
      local extra = math.max(0, math.min(want, math.floor(burst - missing[u] - take)))
      granted[u] = take + extra
      missing[u] = missing[u] + granted[u]
      left[u] = burst - missing[u]
      local at = now + math.min(math.ceil(missing[u] / rate * 1000000), 3153600000000000)
      if at > full then full = at end
      set[#set+1] = names[u]
      set[#set+1] = string.format('%.0f', at)
      set[#set+1] = names[u] .. 'r'
      set[#set+1] = string.format('%.17g', rate)
    end
  end
end
if #set > 0 then
  set[#set+1] = 'w'
  set[#set+1] = string.format('%.0f', now)
  redis.call('HSET', KEYS[1], unpack(set))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((full - now) / 1000) + 1000))
end
local out = {tostring(ok)}
for u = 1, 3 do
  out[#out+1] = string.format('%.17g', granted[u])
  out[#out+1] = string.format('%.6f', left[u])
end
return out
`

// A request is what the script is asked for.
type request struct{ buckets [3]asked }

// asked is the part of one bucket; one with the rate 0 is not drawn from.
type asked struct {
	rate, burst float64
	needed      float64 // tokens that the bucket must have
	take        float64 // tokens that are taken; more than it has if needed is less
	want        float64 // tokens that are also taken, as far as there are any
	back        float64 // tokens that are given back
}

// arguments returns the arguments of the script.
func (r *request) arguments(moment int64) []string {
	list := make([]string, 0, 19)
	list = append(list, strconv.FormatInt(moment, 10))
	for i := range r.buckets {
		b := &r.buckets[i]
		for _, v := range [...]float64{b.rate, b.burst, b.needed, b.take, b.want, b.back} {
			list = append(list, strconv.FormatFloat(v, 'g', -1, 64))
		}
	}
	return list
}

// An answer is what the script returns.
type answer struct {
	granted bool
	buckets [3]struct{ granted, left float64 }
}

// parseAnswer reads the answer to a request. One that no script of this package gives is an error:
// tokens that were not asked for, or numbers that are none, would be held.
func parseAnswer(values []string, r *request) (a answer, err error) {
	if len(values) != 7 {
		return a, fmt.Errorf("the answer has %d values, must have 7", len(values))
	}
	a.granted = values[0] == "1"
	if !a.granted && values[0] != "0" {
		return a, fmt.Errorf("the answer begins with %q, must be 0 or 1", values[0])
	}
	for i := range a.buckets {
		var errs [2]error
		a.buckets[i].granted, errs[0] = strconv.ParseFloat(values[1+2*i], 64)
		a.buckets[i].left, errs[1] = strconv.ParseFloat(values[2+2*i], 64)
		err = errors.Join(err, errs[0], errs[1])
	}
	if err == nil && !a.fits(r) {
		err = fmt.Errorf("the answer %q does not fit what was asked for", values)
	}
	return a, err
}

// fits reports whether the numbers of an answer are possible.
func (a *answer) fits(r *request) bool {
	for i, got := range a.buckets {
		b := &r.buckets[i]
		switch {
		case !(got.left <= b.burst+tolerance) || math.IsInf(got.left, -1):
			return false
		case !(got.granted <= b.take+b.want):
			return false
		case a.granted && !(got.granted >= b.take):
			return false
		}
	}
	return true
}

// longName is how long a name may be in bytes to be stored as it is.
const longName = 200

// storedKey returns the name of the key in Redis. Those of different keys are different: a policy
// has no bar and an address neither bar nor number sign, and the name is the rest.
func storedKey(prefix string, c *middleware.Charge) string {
	var ip string
	if c.IP.IsValid() {
		ip = c.IP.WithZone("").String()
		if zone := c.IP.Zone(); zone != "" { // of any characters
			sum := sha256.Sum256([]byte(zone))
			ip += "%" + hex.EncodeToString(sum[:])
		}
	}
	if len(c.Name) <= longName {
		return prefix + c.Policy + "|" + ip + "|" + c.Name
	}
	sum := sha256.Sum256([]byte(c.Name))
	return prefix + c.Policy + "|" + ip + "#" + hex.EncodeToString(sum[:])
}
