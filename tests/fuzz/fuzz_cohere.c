/* The Cohere translation; behind a byte 255 that of embeddings, behind 254 Voyage's rerank. */
#include "hale/hale.h"

#include "fuzz_xlate.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] == 255)
		fuzz_xlate(&provider_cohere_op[MODE_EMBEDDING], "embed-v4.0", data + 1, size - 1);
	else if (size && data[0] == 254)
		fuzz_xlate(&provider_voyage_op[MODE_RERANK], "rerank-2", data + 1, size - 1);
	else
		fuzz_xlate(&provider_cohere_op[MODE_CHAT], "command-a-reasoning", data, size);
	return 0;
}
