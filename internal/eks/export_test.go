package eks

import "time"

// SetDelay sets the time between two attempts to associate an access policy.
func (c *Client) SetDelay(d time.Duration) { c.delay = d }
