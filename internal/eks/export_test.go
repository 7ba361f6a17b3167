package eks

import "time"

// SetDelay sets the time between two attempts of a call that needs a new access entry.
func (c *Client) SetDelay(d time.Duration) { c.delay = d }
