/* The Anthropic translation. */
#include "hale/hale.h"

#include "fuzz_xlate.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_xlate(&provider_anthropic_op[MODE_CHAT], "claude-sonnet-4-5", data, size);
	return 0;
}
